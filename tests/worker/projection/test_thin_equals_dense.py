"""Differential tests: the thin formulas against the dense ones, over shapes and hard cases."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.policy import Policy
from tests.worker.making import exactly
from tests.worker.projection.dense import dense, exact_baseline
from worker.adapter.model import LoraModule
from worker.alignment.make import Recipe, make_module
from worker.alignment.pair import ModuleShape
from worker.judge import Judged, project_module, score_module
from worker.projection.update import Update, difference_norm, product_norm

COSINE = 1e-6
PRODUCT = 1e-5  # relative, for factors stored in float32

Spoil = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def plain(v: Tensor, b: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return v, b, a


def cancelling(v: Tensor, b: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """B = [K·u + x, K·u], A = [a, -a]: the product x·a is 1/K of the factors."""
    u, row = b[:, :1], a[:1]
    x = b[:, -1:].flip(0)
    return v, torch.cat([100 * u + x, 100 * u], dim=1), torch.cat([row, -row])


def exactly_cancelling(v: Tensor, b: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return v, torch.cat([b, b], dim=1), torch.cat([a, -a])


def rank_deficient_a(v: Tensor, b: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return v, b, a[:1].expand(a.shape).clone()


def zero_b(v: Tensor, b: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return v, torch.zeros_like(b), a


def v_with_zero_rows(v: Tensor, b: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    v[::2] = 0.0
    return v, b, a


def b_only_where_v_is_zero(v: Tensor, b: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The update that a naive formula calls NaN, and lets pass."""
    half = max(1, v.shape[0] // 2)
    v[:half], b[half:] = 0.0, 0.0
    return v, b, a


def zero_v(v: Tensor, b: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.zeros_like(v), b, a


def low_rank_v(v: Tensor, b: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return v[:, :1] @ v[:1], b, a


SPOILS: list[Spoil] = [
    plain,
    cancelling,
    exactly_cancelling,
    rank_deficient_a,
    zero_b,
    v_with_zero_rows,
    b_only_where_v_is_zero,
    zero_v,
    low_rank_v,
]


@dataclass(frozen=True)
class Case:
    v: Tensor
    b: Tensor
    a: Tensor

    @property
    def module(self) -> LoraModule:
        return LoraModule("m", "m", alpha=1.0, scaling=1.0, a=self.a, b=self.b)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Random shapes with out <, =, > in and r from 1 to 64, stored in each dtype, then spoiled."""
    out = draw(st.integers(1, 96))
    in_ = draw(st.one_of(st.just(out), st.integers(1, 96)))
    rank = draw(st.integers(1, 64))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    v = torch.randn(out, in_, generator=random) * draw(st.sampled_from([1e-4, 1e-2, 1.0]))
    b = torch.randn(out, rank, generator=random) * draw(st.sampled_from([1e-3, 1.0]))
    a = torch.randn(rank, in_, generator=random)
    spoil = draw(st.sampled_from(SPOILS))
    dtype = draw(st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
    if spoil in (cancelling, low_rank_v):
        dtype = torch.float32  # 16 bits would round away what the case is about
    v, b, a = spoil(v, b.to(dtype).float(), a.to(dtype).float())
    return Case(v, b.to(dtype), a.to(dtype))


def judged(case: Case, policy: Policy | None = None) -> Judged:
    out, in_ = case.v.shape
    difference = exactly(case.v, aligned_norm=float(case.v.norm()) or 1.0)
    loaded = make_module("m", ModuleShape(out, in_, False), difference, Recipe("float32", 64))
    policy = policy or Policy()
    return project_module(score_module(case.module, loaded, policy), loaded, policy)


@settings(max_examples=400, deadline=None)
@given(cases())
def test_scores_and_products_equal_the_dense_float64_formula(case: Case) -> None:
    """Cosine and signed within 1e-6, the projected product within 1e-5 of its norm."""
    ours, truth = judged(case), dense(case.v, case.b, case.a)
    assert (ours.scores.cosine is None) == (truth.cosine is None)
    if ours.scores.cosine is None or truth.cosine is None or truth.signed is None:
        return
    assert abs(ours.scores.cosine - truth.cosine) <= COSINE
    assert ours.scores.signed is not None
    assert abs(ours.scores.signed - truth.signed) <= COSINE
    stored = Update(ours.projected.b.float(), ours.projected.a.float())
    product = stored.b.double() @ stored.a.double()
    assert float((product - truth.projected).norm()) <= PRODUCT * float(truth.projected.norm())


@pytest.mark.parametrize(("out", "in_"), [(1536, 512), (512, 1536), (1024, 1024)])
def test_float32_path_of_real_shapes_equals_dense(out: int, in_: int) -> None:
    """The same bounds where sums are long enough for float32's rounding to show."""
    random = torch.Generator().manual_seed(out)
    case = Case(
        torch.randn(out, in_, generator=random) * 1e-3,
        torch.randn(out, 16, generator=random) * 1e-2,
        torch.randn(16, in_, generator=random),
    )
    ours, truth = judged(case), dense(case.v, case.b, case.a)
    assert abs((ours.scores.cosine or 0.0) - (truth.cosine or 1.0)) <= COSINE
    product = ours.projected.b.double() @ ours.projected.a.double()
    assert float((product - truth.projected).norm()) <= PRODUCT * float(truth.projected.norm())


@settings(max_examples=100, deadline=None)
@given(cases(), st.sampled_from([2.0**-20, 2.0**-12, 0.25, 1024.0]))
def test_scaling_b_changes_no_cosine(case: Case, factor: float) -> None:
    """The cosine is of a direction: a constant on B (one that rounds nothing) leaves it alone."""
    scaled = Case(case.v, case.b.float() * factor, case.a.float())
    before = judged(Case(case.v, case.b.float(), case.a.float())).scores.cosine
    after = judged(scaled).scores.cosine
    assert (before is None) == (after is None)
    assert before is None or after is None or abs(before - after) <= COSINE


@settings(max_examples=150, deadline=None)
@given(cases())
def test_every_number_is_finite_and_in_range(case: Case) -> None:
    """No NaN, no infinity; cosine, energy in [0, 1], signed in [-1, 1], whatever the case."""
    ours = judged(case)
    scores = ours.scores
    numbers = [scores.cosine, scores.signed, scores.undo, scores.energy, scores.input_energy]
    numbers += [scores.update_ratio, ours.retained]
    assert all(n is None or math.isfinite(n) for n in numbers)
    assert scores.cosine is None or 0.0 <= scores.cosine <= 1.0
    assert scores.energy is None or 0.0 <= scores.energy <= 1.0
    assert scores.input_energy is None or 0.0 <= scores.input_energy <= 1.0
    assert scores.signed is None or abs(scores.signed) <= 1.0


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(1, 64), st.sampled_from([1.0, 1.3, 2.0]))
def test_what_reads_the_top_inputs_is_taken_out_or_turned(
    case: Case, k: int, strength: float
) -> None:
    """`complement` on the input side leaves 1-λ of what reads Z_k, and all else as it was; how much
    that is, the report says: k directions, and ‖B·A·Z‖²/‖B·A‖² of the stored ones."""
    if float(case.v.norm()) == 0.0 or float((case.b.double() @ case.a.double()).norm()) == 0.0:
        return
    fields = {"method": "complement", "side": "input", "rank": k, "strength": strength}
    ours = judged(case, Policy.model_validate(fields))
    k = min(k, *case.v.shape)
    _, sigma, zt = torch.linalg.svd(case.v.double(), full_matrices=False)
    if k < sigma.numel() and float(sigma[k - 1] - sigma[k]) < 1e-3 * float(sigma[0]):
        return  # the top k directions are not unique
    update = case.b.double() @ case.a.double()
    z = zt[:k].T  # (in, k)
    product = ours.projected.b.double() @ ours.projected.a.double()
    scale = float(update.norm()) + 1e-9 * float(case.b.norm()) * float(case.a.norm())
    assert float((product @ z - (1 - strength) * (update @ z)).norm()) <= 1e-4 * scale
    assert float((product - update - (product - update) @ z @ z.T).norm()) <= 1e-4 * scale
    assert ours.directions == k


@settings(max_examples=150, deadline=None)
@given(cases())
def test_input_energy_equals_the_dense_formula(case: Case) -> None:
    """‖B·A·Z‖² / ‖B·A‖² over all the directions stored, where these are V's own."""
    update = case.b.double() @ case.a.double()
    size = float(update.norm())
    if size <= 1e-6 * float(case.b.norm()) * float(case.a.norm()) or min(case.v.shape) > 64:
        return  # cancelling: what is left is rounding; or not all of V's directions are stored
    _, sigma, zt = torch.linalg.svd(case.v.double(), full_matrices=False)
    if float(sigma[0]) == 0.0 or float(sigma[-1]) < 1e-3 * float(sigma[0]):
        return  # the directions of V's null space are anybody's
    energy = judged(case, Policy()).scores.input_energy
    assert energy == pytest.approx(float((update @ zt.T).norm() / size) ** 2, abs=1e-4)


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from(["input", "output", "both"]), st.integers(1, 64))
def test_complement_equals_the_dense_formula(case: Case, side: str, k: int) -> None:
    """Each side takes out exactly V's top k directions; `both` is cut to the best rank r."""
    if float(case.v.norm()) == 0.0:
        return
    policy = Policy.model_validate({"method": "complement", "side": side, "rank": k})
    ours = judged(case, policy)
    k = min(k, *case.v.shape)
    u, sigma, zt = torch.linalg.svd(case.v.double(), full_matrices=False)
    if k < sigma.numel() and float(sigma[k - 1] - sigma[k]) < 1e-3 * float(sigma[0]):
        return  # the top k directions are not unique
    update = case.b.double() @ case.a.double()
    left, right = u[:, :k] @ u[:, :k].T, zt[:k].T @ zt[:k]
    if side == "input":
        expected = update - update @ right
    elif side == "output":
        expected = update - left @ update
    else:
        expected = update - left @ update @ right
    product = ours.projected.b.double() @ ours.projected.a.double()
    # an exactly cancelling product is known to float64's rounding of its factors only
    scale = float(update.norm()) + 1e-9 * float(case.b.norm()) * float(case.a.norm())
    if side == "both":
        x, s, yt = torch.linalg.svd(expected, full_matrices=False)
        rank = case.b.shape[1]
        best = (x[:, :rank] * s[:rank]) @ yt[:rank]
        off = float((product - expected).norm()) - float((best - expected).norm())
        assert off <= 1e-4 * scale
    else:
        assert float((product - expected).norm()) <= 1e-4 * scale


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    "method",
    [
        {"method": "safe_lora"},
        {"method": "zero"},
        {"method": "subspace", "rank": 3},
        {"method": "complement", "side": "input", "rank": 3},
        {"method": "complement", "side": "output", "rank": 3},
    ],
    ids=lambda m: "-".join(str(v) for v in m.values()),
)
def test_strength_blends_the_products(method: dict[str, object], strength: float) -> None:
    """(1-λ)·B·A + λ·projected, as a product, for every method that keeps the rank."""
    random = torch.Generator().manual_seed(7)
    case = Case(
        torch.randn(40, 24, generator=random),
        torch.randn(40, 4, generator=random),
        torch.randn(4, 24, generator=random),
    )
    full = judged(case, Policy.model_validate(method)).projected
    part = judged(case, Policy.model_validate({**method, "strength": strength})).projected
    update = case.b.double() @ case.a.double()
    expected = (1 - strength) * update + strength * (full.b.double() @ full.a.double())
    product = part.b.double() @ part.a.double()
    assert torch.allclose(product, expected, atol=1e-5 * float(update.norm()))


@settings(max_examples=100, deadline=None)
@given(cases())
def test_baseline_of_an_exact_spectrum_is_exact(case: Case) -> None:
    """Where all singular values are held, the baseline is the formula's value, with no error."""
    if float(case.v.norm()) == 0.0:
        return
    out, in_ = case.v.shape
    difference = exactly(case.v)
    entry = make_module("m", ModuleShape(out, in_, False), difference, Recipe("float32", 96)).entry
    assert entry.baseline_error == 0.0
    assert entry.baseline == pytest.approx(exact_baseline(case.v), rel=1e-5)


def test_probed_baseline_lies_within_its_stated_error() -> None:
    """Where part of the spectrum is probed, truth lies within four standard errors."""
    random = torch.Generator().manual_seed(3)
    for peak in (0.0, 30.0):
        v = torch.randn(400, 300, generator=random)
        v += peak * torch.outer(v[:, 0], v[0]) / v.norm()
        difference = exactly(v)
        entry = make_module("m", ModuleShape(400, 300, False), difference, Recipe("float32", 8))
        error = entry.entry.baseline_error
        assert error > 0.0
        assert abs(entry.entry.baseline - exact_baseline(v)) <= 4 * error


@settings(max_examples=100, deadline=None)
@given(cases())
@example(Case(torch.ones(3, 3), torch.ones(3, 1), torch.ones(1, 3)))
def test_norms_without_products_equal_norms_of_products(case: Case) -> None:
    """‖B·A‖ and ‖B₁A₁ - B₂A₂‖ from thin factors are those of the full products."""
    update = Update(case.b, case.a)
    product = case.b.double() @ case.a.double()
    scale = float(case.b.double().norm() * case.a.double().norm())
    assert abs(product_norm(update) - float(product.norm())) <= 1e-12 * scale
    other = Update(case.b.double() * 0.5, case.a.double() + 0.1)
    difference = product - other.b @ other.a
    assert abs(difference_norm(update, other) - float(difference.norm())) <= 1e-9 * (scale + 1)
