"""The randomised spectrum against the full SVD in float64, over shapes, dtypes and decays."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from tests.worker.projection.dense import exact_baseline
from worker.projection.norms import frobenius
from worker.projection.spectrum import (
    Spectrum,
    baseline_cosine,
    rank_for_energy,
    top_singular,
)

SHAPES = [(400, 400), (300, 1100), (1100, 300), (90, 500)]
K = 64  # the default of an alignment
DTYPES = [torch.bfloat16, torch.float16, torch.float32]
Decay = Callable[[Tensor], Tensor]


def flat(i: Tensor) -> Tensor:
    return torch.ones_like(i)


def slow(i: Tensor) -> Tensor:
    return i**-0.5


def inverse(i: Tensor) -> Tensor:
    return 1 / i


def fast(i: Tensor) -> Tensor:
    return 0.9**i


def few_over_noise(i: Tensor) -> Tensor:
    return torch.where(i <= 6, 60.0 / i, 1.0)


def low_rank(i: Tensor) -> Tensor:
    return (i <= 10) / i


def dominated(rest: float) -> Decay:
    """One σ of 1, the others falling from `rest`."""

    def one_over_the_rest(i: Tensor) -> Tensor:
        return torch.where(i <= 1, 1.0, rest * 0.97**i)

    return one_over_the_rest


DECAYS: list[Decay] = [flat, slow, fast, few_over_noise, low_rank]


@dataclass(frozen=True)
class Case:
    """V as stored, its top `k` directions as found, and U, σ, Zᵀ in float64."""

    v: Tensor
    found: Spectrum
    u: Tensor
    sigma: Tensor
    zt: Tensor


def stored(shape: tuple[int, int], decay: Decay, dtype: torch.dtype) -> Tensor:
    """V with about these singular values; a few dead rows, as embeddings have."""
    random = torch.Generator().manual_seed(shape[0])
    size = min(shape)
    left, right = (torch.linalg.qr(torch.randn(n, size, generator=random)).Q for n in shape)
    v = (left * decay(torch.arange(1, size + 1).float())) @ right.T
    v[::17] = 0.0
    as_stored: Tensor = v.to(dtype)
    return as_stored


@pytest.fixture(scope="module", params=DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    chosen: torch.dtype = request.param
    return chosen


@pytest.fixture(scope="module", params=DECAYS, ids=lambda decay: decay.__name__)
def decay(request: pytest.FixtureRequest) -> Decay:
    chosen: Decay = request.param
    return chosen


@pytest.fixture(scope="module", params=SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def case(request: pytest.FixtureRequest, decay: Decay, dtype: torch.dtype) -> Case:
    v = stored(request.param, decay, dtype)
    return Case(v, top_singular(v, K), *torch.linalg.svd(v.double(), full_matrices=False))


def baseline(v: Tensor, spectrum: Spectrum) -> tuple[float, float]:
    return baseline_cosine(v, spectrum, frobenius(v))


def test_directions_are_orthonormal_float32(case: Case) -> None:
    """U and Z have orthonormal columns whatever V's rank and dtype, contiguous for storing."""
    for basis in (case.found.u, case.found.z):
        assert basis.dtype == torch.float32
        assert basis.is_contiguous()
        gram = basis.double().T @ basis.double()
        assert float((gram - torch.eye(K)).abs().max()) <= 1e-5


def test_energy_and_sigma_are_those_of_the_exact_spectrum(case: Case) -> None:
    """‖Uᵀ·V‖² is within 1 % of the best k directions' (of 5 % for a flat V, where all are alike),
    σ falls, and is what these directions have, never more than the exact one."""
    best, sigma = case.sigma[:K], case.found.sigma.double()
    energy = float((case.found.u.double().T @ case.v.double()).square().sum())
    assert energy >= (1 - 0.05) * float(best.square().sum())
    if float(best[-1]) < 0.7 * float(best[0]):
        assert energy >= (1 - 0.01) * float(best.square().sum())
    assert energy == pytest.approx(float(sigma.square().sum()), rel=1e-5)
    assert bool((sigma.diff() <= 0).all())
    assert bool((sigma <= best + 1e-5 * best[0]).all())


def test_error_is_the_largest_residual(case: Case) -> None:
    """`error` is max ‖V·z - σ·u‖ / σ_1, give or take what rounding Z changes; Vᵀ·u = σ·z holds."""
    v, u, z = case.v.double(), case.found.u.double(), case.found.z.double()
    sigma = case.found.sigma.double()
    residual = float((v @ z - u * sigma).norm(dim=0).max() / sigma[0])
    assert abs(case.found.error - residual) <= 1e-3
    assert float((v.T @ u - z * sigma).norm(dim=0).max()) <= 1e-5 * float(sigma[0])


def test_separated_directions_are_single_singular_vectors(case: Case) -> None:
    """Where σ_i lies 5 % from its neighbours and is no noise, u_i and z_i are the exact ones."""
    gaps = -torch.cat([torch.tensor([-math.inf]), case.sigma.diff()])  # above each
    sigma, above, below = case.sigma[:K], gaps[:K], gaps[1 : K + 1]
    separated = (torch.minimum(above, below) > 0.05 * sigma) & (sigma > 0.01 * sigma[0])
    overlaps = torch.minimum(
        (case.u[:, :K] * case.found.u).sum(dim=0).abs(),
        (case.zt.T[:, :K] * case.found.z).sum(dim=0).abs(),
    )
    assert bool((overlaps[separated] >= 1 - 1e-3).all())


def test_baseline_lies_within_four_standard_errors(case: Case) -> None:
    """The probed baseline is the formula's value, as near as it says."""
    value, error = baseline(case.v, case.found)
    assert abs(value - exact_baseline(case.v)) <= 4 * error + 1e-4 * value


def test_same_v_gives_the_same_bits(case: Case) -> None:
    """Two calls agree bit for bit, spectrum and baseline."""
    again = top_singular(case.v, K)
    for one, other in (
        (case.found.u, again.u),
        (case.found.sigma, again.sigma),
        (case.found.z, again.z),
    ):
        assert torch.equal(one, other)
    assert baseline(case.v, case.found) == baseline(case.v, again)


def test_a_transposed_view_equals_its_contiguous_copy(case: Case) -> None:
    """How V lies in memory changes nothing but rounding."""
    view = case.v.T.contiguous().T
    other = top_singular(view, K)
    scale = float(case.found.sigma[0])
    assert torch.allclose(other.sigma, case.found.sigma, rtol=1e-2, atol=1e-3 * scale)
    assert other.error == pytest.approx(case.found.error, rel=0.2, abs=1e-3)
    value, error = baseline(case.v, case.found)
    assert abs(baseline(view, other)[0] - value) <= 4 * error + 1e-4 * value


@pytest.mark.parametrize("decay", [slow, fast])
def test_dtypes_of_one_v_agree(decay: Decay) -> None:
    """A V that each dtype holds exactly has one spectrum, to what rough products leave out."""
    v = stored((500, 400), decay, torch.bfloat16)
    v = torch.where(v.abs() < 2.0**-14, 0.0, v)  # float16 has no more exponents
    spectra = [top_singular(v.to(dtype), 16) for dtype in DTYPES]
    for spectrum in spectra[:2]:
        assert torch.allclose(spectrum.sigma, spectra[2].sigma, rtol=5e-3)
        assert spectrum.error == pytest.approx(spectra[2].error, rel=0.5, abs=2e-3)


@pytest.mark.parametrize("rows", [0, 1, 20])
@pytest.mark.parametrize("dtype", DTYPES)
def test_v_with_few_rows_that_are_not_zero(rows: int, dtype: torch.dtype) -> None:
    """Fewer directions than asked for: σ ends in zeros, all is finite, nothing fails."""
    v = torch.zeros(500, 450, dtype=dtype)
    v[:rows] = torch.randn(rows, 450, generator=torch.Generator().manual_seed(1)).to(dtype)
    found = top_singular(v, 32)
    exact = torch.linalg.svdvals(v.double())[:32]
    scale = max(1.0, float(exact[0]))
    assert torch.allclose(found.sigma.double(), exact, atol=1e-3 * scale)
    assert all(bool(x.isfinite().all()) for x in (found.u, found.z))
    assert math.isfinite(found.error)
    assert baseline(v, found)[0] == pytest.approx(exact_baseline(v) if rows else 0.0, rel=1e-3)


@pytest.mark.parametrize("exponent", [-80, -21, -20, 3, 20, 21, 60])
@pytest.mark.parametrize("decay", [flat, slow, dominated(1e-4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_v_times_a_power_of_two_changes_sigma_alone(
    dtype: torch.dtype, decay: Decay, exponent: int
) -> None:
    """U, Z, error and baseline are the same bits however tiny or huge V is, σ is so many times."""
    v = stored((300, 350), decay, dtype)
    one, other = top_singular(v, 16), top_singular(v * 2.0**exponent, 16)
    assert torch.equal(other.sigma, one.sigma * 2.0**exponent)
    for ours, theirs in ((one.u, other.u), (one.z, other.z)):
        assert torch.equal(ours, theirs)
    assert other.error == one.error
    assert baseline(v * 2.0**exponent, other) == baseline(v, one)


def test_the_tiniest_v_there_is_has_a_spectrum() -> None:
    """Entries that float32 holds one bit of are not taken for nothing."""
    v = torch.full((300, 350), 2.0**-149)
    found = top_singular(v, 16)
    norm = frobenius(v)
    assert float(found.sigma[0]) == pytest.approx(norm, rel=1e-3)
    assert baseline(v, found)[0] == pytest.approx(1 / math.sqrt(300), rel=1e-3)


@pytest.mark.parametrize("rest", [1e-1, 1e-2, 3e-3, 1e-3, 1e-4])
def test_one_large_sigma_hides_no_other(rest: float, dtype: torch.dtype) -> None:
    """Below a σ_1 of up to 10⁵ times σ_k, σ_k is within 5 % and the upper u_i are held whole."""
    v = stored((700, 600), dominated(rest), dtype)
    found = top_singular(v, K)
    u, sigma, _ = torch.linalg.svd(v.double(), full_matrices=False)
    assert float(found.sigma[-1]) == pytest.approx(float(sigma[K - 1]), rel=0.05)
    held = (found.u.double().T @ u[:, :40]).square().sum(dim=0)
    assert float(held.min()) >= 0.99
    assert found.careful or rest >= 3e-3


def test_ordinary_spectra_are_found_the_quick_way(dtype: torch.dtype) -> None:
    """Neither the residuals that a flat V always has nor a moderate decay cost the slow way."""
    for shape in SHAPES[:3]:
        gaussian = torch.randn(*shape, generator=torch.Generator().manual_seed(2)).to(dtype)
        assert not top_singular(gaussian, K).careful
        for decay in (slow, inverse, dominated(1e-1)):
            assert not top_singular(stored(shape, decay, dtype), K).careful, decay.__name__


def test_rank_for_energy_holds_the_share() -> None:
    """Directions are doubled until they hold the share of ‖V‖², and no further."""
    v = stored((400, 400), slow, torch.bfloat16)
    total = float(v.double().square().sum())
    found = rank_for_energy(v, 0.7, 8)
    assert float(found.sigma.double().square().sum()) >= 0.7 * total
    half = top_singular(v, found.sigma.numel() // 2)
    assert float(half.sigma.double().square().sum()) < 0.7 * total
