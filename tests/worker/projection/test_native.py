"""Our own products of V with a few columns: what they compute, and what they never touch."""

import platform
import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from worker.projection import native
from worker.projection.native import Level
from worker.projection.score import cosine
from worker.projection.thin import products_of_all, thin_products
from worker.projection.update import Update, product_norm

UNIT = 2.0**-24  # what one rounding costs
BEARABLE = 5e-3  # of ‖W‖, where the adapter itself has 16 bits
PRECISE = 1e-5

needs_floats = pytest.mark.skipif(native.LEVEL < Level.FLOATS, reason=native.describe())
needs_pairs = pytest.mark.skipif(native.LEVEL < Level.PAIRS, reason=native.describe())


@st.composite
def products(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, bool]:
    """V as it is stored, B, X, and whether pairs are multiplied; sizes around every block's."""
    sizes = st.one_of(st.integers(1, 40), st.sampled_from([63, 64, 65, 96, 97, 127, 193, 260]))
    out, in_, rank = draw(sizes), draw(sizes), draw(st.integers(1, 40))
    pairs = draw(st.booleans()) and native.LEVEL == Level.PAIRS
    kinds = [torch.bfloat16] if pairs else list(native._KINDS)
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    v = torch.randn(out, in_, generator=random) * draw(st.sampled_from([1e-3, 1.0]))
    b = torch.randn(out, rank, generator=random) * draw(st.sampled_from([1e-4, 1.0, 1e4]))
    x = torch.randn(in_, rank, generator=random)
    b = b.bfloat16().float() if pairs else b
    kind = draw(st.sampled_from(kinds))
    moved = torch.empty(out * in_ + 32, dtype=kind)[draw(st.integers(0, 31)) :]  # as in a file
    v = moved[: out * in_].view(out, in_).copy_(v)
    return v, b, x, pairs


@needs_floats
@settings(max_examples=400, deadline=None)
@given(products())
def test_products_are_those_of_float64_but_for_rounding(
    case: tuple[Tensor, Tensor, Tensor, bool],
) -> None:
    """Each entry is off by no more than its factors' roundings and the sum's."""
    v, b, x, pairs = case
    for found, left, right in (
        (native.back(v, b, pairs=pairs), v.T, b),
        (native.forward(v, x), v, x),
    ):
        exact = left.double() @ right.double()
        size = left.double().abs() @ right.double().abs()
        bound = (2.1 * UNIT + left.shape[1] * 2.0**-24) * size
        assert found.shape == exact.shape
        assert found.dtype == torch.float32
        assert bool(((found - exact).abs() <= bound + 1e-30).all())


@needs_floats
@settings(max_examples=50, deadline=None)
@given(products(), st.integers(2, 9))
def test_the_number_of_threads_changes_no_bit(
    case: tuple[Tensor, Tensor, Tensor, bool], threads: int
) -> None:
    v, b, x, pairs = case
    before = torch.get_num_threads()
    found = []
    try:
        for number in (1, threads):
            torch.set_num_threads(number)
            found.append((native.back(v, b, pairs=pairs), native.forward(v, x)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


@needs_floats
def test_nothing_is_read_past_the_end_of_v() -> None:
    """V ends where a page ends that nobody may read beyond, as the last shard of a file may."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.worker.projection.guarded"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "read 54 matrices"


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="thin.c is for x86-64"
)
def test_it_is_compiled() -> None:
    """`make` has compiled it: what follows from there is the processor's word."""
    assert native._LIBRARY is not None, native.describe()


@needs_pairs
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16, torch.float32])
def test_only_what_bfloat16_holds_is_multiplied_in_it(
    stored: torch.dtype, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V and B both; nothing is rounded on the way."""
    called = []
    run = native.run

    def recorded(name: str, *arguments: Any) -> None:
        called.append(name)
        run(name, *arguments)

    monkeypatch.setattr(native, "run", recorded)
    v, update = _random((1024, 512), dtype)
    assert _error(v.to(stored), update) <= PRECISE
    pairs = stored == dtype == torch.bfloat16
    assert called == [f"thin_back_{'pairs' if pairs else 'floats'}", "thin_forward_floats"]


@pytest.mark.parametrize("top", [0.1, 0.3, 0.6])
def test_no_digit_that_float16_has_hides_from_the_cosine(top: float) -> None:
    """B in float16, between bfloat16's numbers so that rounding takes from it just what lies along
    V's first direction: without that it would pass, and with it all of C·B·A points there."""
    random = torch.Generator().manual_seed(2)
    u, z = (torch.nn.functional.normalize(_normal(n, random), dim=0) for n in (2048, 512))
    rest = torch.randn(2048, 512, generator=random, dtype=torch.float64)
    v = (top**0.5 * torch.outer(u, z) + (1 - top) ** 0.5 * rest / rest.norm()).bfloat16()
    first = torch.linalg.svd(v.double(), full_matrices=False)[0][:, 0]
    b = _normal(2048, random)
    for _ in range(20):
        b -= first * (first @ _round(b))
    ulp = torch.exp2(b.abs().log2().floor() - 7)
    _assert_judged_as_in_float64(v, (_round(b) + 0.375 * ulp * first.sign()).half())


@pytest.mark.parametrize("top", [0.4, 0.7])
def test_no_rounding_of_what_v_makes_of_it_can_be_steered(top: float) -> None:
    """B in bfloat16, half of it tiny and chosen so that each entry of Vᵀ·B lies just where rounding
    moves it along V's first direction."""
    random = torch.Generator().manual_seed(2)
    u, z = (torch.nn.functional.normalize(_normal(n, random), dim=0) for n in (2048, 512))
    rest = torch.randn(2048, 512, generator=random, dtype=torch.float64)
    v = (top**0.5 * torch.outer(u, z) + (1 - top) ** 0.5 * rest / rest.norm()).bfloat16()
    whole = v.double()
    _, sigma, right = torch.linalg.svd(whole, full_matrices=False)
    b = _round(torch.cat([torch.zeros(1024, dtype=torch.float64), _normal(1024, random)]))
    x = whole.T @ b
    x -= right[0] * (right[0] @ x)
    along = 0.8 * float((whole @ x).norm() / sigma[0])
    wanted = x
    for _ in range(30):
        x = x + right[0] * (along - right[0] @ wanted)
        wanted = _round(x) + 0.47 * torch.exp2(x.abs().log2().floor() - 7) * right[0].sign()
    steer = torch.linalg.pinv(whole[:1024].T)
    for _ in range(4):
        b[:1024] = _round(b[:1024] + steer @ (wanted - whole.T @ b))
    _assert_judged_as_in_float64(v, b.bfloat16())


def test_an_adapter_of_32_bits_is_multiplied_in_32_bits() -> None:
    v, update = _random((1024, 512), torch.bfloat16)
    assert _error(v, Update(update.b, update.a)) <= 1e-5


@needs_pairs
def test_what_cancels_in_16_bits_is_multiplied_again() -> None:
    """B nearly orthogonal to all that V writes: Vᵀ·B is what a sum of rounded terms would bury."""
    random = torch.Generator().manual_seed(0)
    written = torch.randn(512, 1, generator=random)
    v = (written @ torch.randn(1, 256, generator=random)).bfloat16()
    b = torch.randn(512, 4, generator=random)
    b -= 0.999 * written @ (written.T @ b) / written.square().sum()
    update = Update(b.bfloat16().float(), torch.randn(4, 256, generator=random))
    assert _error(v, update) <= 1e-4


@needs_pairs
def test_adapters_that_share_a_pass_get_what_each_gets_alone() -> None:
    """Whatever their dtypes, ranks and neighbours, one that cancels among them: bit for bit, but
    for float64's, which are BLAS's."""
    random = torch.Generator().manual_seed(3)
    v = (torch.randn(300, 200, generator=random) * 1e-3).bfloat16()
    updates = []
    for rank, dtype in ((8, torch.bfloat16), (3, torch.float16), (16, torch.float32), (1, None)):
        b = torch.randn(300, rank, generator=random, dtype=torch.float64)
        a = torch.randn(rank, 200, generator=random)
        updates.append(Update(b, a) if dtype is None else _narrowed(b, a, dtype))
    exact = torch.linalg.svd(v.double(), full_matrices=True)[0][:, -4:]  # Vᵀ·B = 0 but for rounding
    updates.append(_narrowed(exact, torch.randn(4, 200, generator=random), torch.bfloat16))
    norm = float(v.double().norm())
    together = products_of_all(v, updates, norm)
    for update, products in zip(updates, together, strict=True):
        alone = thin_products(v, update, norm)
        rounding = 1e-14 if alone.back.dtype == torch.float64 else 0.0
        for ours, theirs in ((products.back, alone.back), (products.image, alone.image)):
            assert ours.dtype == theirs.dtype
            assert float((ours - theirs).norm()) <= rounding * float(theirs.norm())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_torch_multiplies_where_nothing_of_ours_can(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32, on a processor that `thin.c` is not written for."""
    monkeypatch.setattr(native, "LEVEL", Level.NOTHING)
    v, update = _random((300, 200), dtype)
    assert _error(v, update) <= 1e-5
    with pytest.raises(RuntimeError, match="cannot run here"):
        native.back(v, update.b, pairs=False)


@needs_floats
def test_rows_that_do_not_lie_one_after_the_other_are_torchs() -> None:
    """A transposed view has the same products; our own would read other elements, and refuses."""
    v, update = _random((200, 300), torch.bfloat16)
    assert _error(v.T.contiguous().T, update) <= BEARABLE
    with pytest.raises(ValueError, match="one after the other"):
        native.back(v.T, update.a.T, pairs=False)


@needs_pairs
def test_v_in_float16_is_not_rounded_to_bfloat16() -> None:
    """Who knows V could put an adapter where that takes most from it."""
    v, update = _random((64, 32), torch.float16)
    with pytest.raises(ValueError, match="pairs of bfloat16"):
        native.back(v, update.b, pairs=True)


def _normal(size: int, random: torch.Generator) -> Tensor:
    return torch.randn(size, generator=random, dtype=torch.float64)


def _round(values: Tensor) -> Tensor:
    return values.bfloat16().double()


def _assert_judged_as_in_float64(v: Tensor, b: Tensor) -> None:
    """Product and cosine of one column with any A; the cosine is the same for each."""
    update = Update(b.float()[:, None], torch.ones(1, v.shape[1]))
    norm, size = float(v.double().norm()), product_norm(update)
    exact = thin_products(v, Update(update.b.double(), update.a), norm)
    found = thin_products(v, update, norm)
    assert float((found.image - exact.image).norm() / exact.image.norm()) <= BEARABLE
    assert cosine(update, found, size) == pytest.approx(cosine(update, exact, size), abs=1e-4)


def _random(shape: tuple[int, int], dtype: torch.dtype) -> tuple[Tensor, Update]:
    random = torch.Generator().manual_seed(7)
    v = torch.randn(*shape, generator=random) * 1e-3
    b = torch.randn(shape[0], 16, generator=random) * 1e-2
    a = torch.randn(16, shape[1], generator=random)
    return v.to(dtype), _narrowed(b, a.to(dtype).float(), dtype)


def _narrowed(b: Tensor, a: Tensor, dtype: torch.dtype) -> Update:
    return Update(b.to(dtype).float(), a)


def _error(v: Tensor, update: Update) -> float:
    """‖W - W64‖ / ‖W64‖ on the same V."""
    norm = float(v.double().norm())
    exact = v.double() @ (v.double().T @ update.b.double()) / norm
    image = thin_products(v, update, norm).image
    return float((image.double() - exact).norm() / exact.norm())
