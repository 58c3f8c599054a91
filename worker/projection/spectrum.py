"""The top singular directions of V, and the cosine that a random update would score.

V (out, in) comes as it is stored: float32, bfloat16 or float16. A randomised range finder, then
Rayleigh-Ritz with one precise product. Where the residuals show that rounding of σ_1 drowned a
direction the range is found again, carefully. Seeds are fixed: the same V gives the same numbers
on the same library, and V times a power of two the same but for σ.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from core.alignments import ENERGY_ROUNDING
from worker.projection.norms import frobenius
from worker.projection.products import (
    column_residuals,
    precise_transposed_product,
    rough_product,
    rough_transposed_product,
)
from worker.projection.range_finder import careful_range, krylov_size, quick_range

PROBES = 32
PROBE_SEED = 20_240_517  # not the range finder's, whose start U_k nearly holds
# ‖V·z_i - σ_i·u_i‖ / σ_i above which u_i is no singular vector. Measured: at most 0.13 where V is
# flat, for want of steps that more precision would not save; 0.18 where it is flat below a σ_1 of
# 80 times the rest; 0.2 where rounding costs σ_i 7 %; 0.25 to 10 where it costs up to all of it.
DROWNED = 0.2
ORDINARY_EXPONENTS = range(-20, 21)  # of V's largest entry: squares of products stay in float32


@dataclass(frozen=True)
class Spectrum:
    """U_k (out, k), σ (k,) in falling order, Z_k (in, k), and `error` max ‖V·z - σ·u‖ / σ_1.

    `careful`: whether the quick way would have lost directions, so that the slower one was taken.
    """

    u: Tensor
    sigma: Tensor
    z: Tensor
    error: float
    careful: bool = False


def top_singular(v: Tensor, k: int) -> Spectrum:
    """The top `k` singular triplets of V (out, in) in float32, exact where a full SVD costs little.

    Otherwise Vᵀ·u = σ·z holds to float32's rounding and V·z = σ·u to `error`.
    """
    k = min(k, *v.shape)
    low, high = (float(x) for x in v.aminmax())
    largest = max(-low, high)
    if largest == 0.0:
        return _zero_spectrum(v, k)
    scale = _scale(largest)
    found = _ordinary_top_singular(v if scale == 1.0 else v * (1.0 / scale), k)
    return replace(found, sigma=found.sigma * scale)


def rank_for_energy(v: Tensor, share: float, start: int) -> Spectrum:
    """The spectrum with the fewest of `start`, 2·start, … directions holding `share` of ‖V‖_F²."""
    k = start
    total = frobenius(v) ** 2
    while True:
        spectrum = top_singular(v, k)
        held = float((spectrum.sigma.double() ** 2).sum())
        if held >= share * total * (1.0 - ENERGY_ROUNDING) or k >= min(v.shape):
            return spectrum
        k *= 2


def baseline_cosine(v: Tensor, spectrum: Spectrum, norm: float) -> tuple[float, float]:
    """‖V‖_F² / (√out·‖V·Vᵀ‖_F), the expected cosine of a random update, and its standard error.

    ‖V·Vᵀ‖_F² = Σσ⁴. The part in U_k is taken exactly, the rest is probed with Gaussians.
    `norm`: ‖V‖_F. (0, 0) for V = 0.
    """
    out = v.shape[0]
    squared_norm = norm**2
    if squared_norm == 0.0:
        return 0.0, 0.0
    known = float((spectrum.sigma.double() ** 4).sum())
    if spectrum.sigma.shape[0] == min(v.shape):
        return squared_norm / math.sqrt(out * known), 0.0
    rest, rest_error = _residual_fourth_powers(v, spectrum.u, norm)
    fourth = known + rest
    baseline = squared_norm / math.sqrt(out * fourth)
    return baseline, baseline * 0.5 * rest_error / fourth


def _residual_fourth_powers(v: Tensor, u: Tensor, norm: float) -> tuple[float, float]:
    """‖V·Vᵀ‖_F² less Σσ⁴ of U's part by Gaussian probes, and the standard error of that mean.

    With B = V·Vᵀ, P = U·Uᵀ, R = I - P, this is ‖R·B·R‖² + 2·‖P·B·R‖²: U is not quite invariant.
    Rough products may move the baseline by a hundred-thousandth beyond the standard error. One
    factor V is taken as V / ‖V‖_F: B of a tiny V would vanish in float32.
    """
    generator = torch.Generator().manual_seed(PROBE_SEED)
    probes = torch.randn(v.shape[0], PROBES, generator=generator).to(v.device)  # (out, p)
    probes -= u @ (u.T @ probes)
    image = rough_product(v, rough_transposed_product(v, probes) / norm).float()  # (out, p)
    inside = u.T @ image  # (k, p)
    image -= u @ inside
    samples = image.double().square().sum(dim=0) + 2 * inside.double().square().sum(dim=0)  # (p,)
    mean, deviation = float(samples.mean()), float(samples.std())
    return norm**2 * mean, norm**2 * deviation / math.sqrt(PROBES)


def _ordinary_top_singular(v: Tensor, k: int) -> Spectrum:
    """`top_singular` of a V that is not zero and whose largest entry has an ordinary exponent."""
    if 3 * min(v.shape) <= 4 * krylov_size(k):
        return _exact(v.double(), k)
    found, drowned = _in_range(v, quick_range(v, k), k)
    if drowned:
        found, _ = _in_range(v, careful_range(v, k), k)
    return replace(found, careful=drowned)


def _in_range(v: Tensor, q: Tensor, k: int) -> tuple[Spectrum, bool]:
    """The top `k` triplets in the range of Q (out, c ≥ k), and whether V has others beside them.

    Rayleigh-Ritz: σ is never more than V's, so what was drowned shows in a residual beyond σ_i.
    """
    z, sigma, turns = (x[..., :k] for x in _svd(precise_transposed_product(v, q)))
    u, sigma, z = q @ turns, sigma.contiguous(), z.contiguous()
    residuals = column_residuals(v, z, u * sigma)
    drowned = bool((residuals > DROWNED * sigma).any())
    return Spectrum(u, sigma, z, float(residuals.max() / sigma[0])), drowned


def _scale(largest: float) -> float:
    """The power of two that a copy of V is divided by, given V's largest entry; 1 takes V itself.

    Its inverse is in float32's range even for the smallest entry that is not zero.
    """
    _, exponent = math.frexp(largest)
    return 1.0 if exponent in ORDINARY_EXPONENTS else 2.0 ** max(exponent, -100)


def _exact(v: Tensor, k: int) -> Spectrum:
    """By a full SVD of float64 V."""
    u, sigma, z = (x[..., :k].float().contiguous() for x in _svd(v))
    residual = (v @ z.double() - u.double() * sigma).norm(dim=0).max() / sigma[0]
    return Spectrum(u, sigma, z, float(residual))


def _svd(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Left singular vectors, σ, and right singular vectors as columns."""
    left, sigma, right = torch.linalg.svd(matrix, full_matrices=False)
    return left, sigma, right.T


def _zero_spectrum(v: Tensor, k: int) -> Spectrum:
    """V = 0 has no directions; k zero columns keep the shapes."""
    out, in_ = v.shape
    u, sigma, z = (torch.zeros(*shape, device=v.device) for shape in ((out, k), (k,), (in_, k)))
    return Spectrum(u, sigma, z, 0.0)
