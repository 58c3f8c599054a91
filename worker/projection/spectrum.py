"""The top singular directions of V, and the cosine that a random update would score.

V (out, in) comes as it is stored: float32, bfloat16 or float16. A randomised range finder, then
Rayleigh-Ritz with one precise product. Seeds are fixed: the same V gives the same numbers on the
same library.
"""

import math
from dataclasses import dataclass

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
from worker.projection.range_finder import krylov_size, top_range

PROBES = 32
PROBE_SEED = 20_240_517  # not the range finder's, whose start U_k nearly holds


@dataclass(frozen=True)
class Spectrum:
    """U_k (out, k), σ (k,) in falling order, Z_k (in, k), and `error` max ‖V·z - σ·u‖ / σ_1."""

    u: Tensor
    sigma: Tensor
    z: Tensor
    error: float


def top_singular(v: Tensor, k: int) -> Spectrum:
    """The top `k` singular triplets of V (out, in) in float32, exact where a full SVD costs little.

    Otherwise Vᵀ·u = σ·z holds to float32's rounding and V·z = σ·u to `error`.
    """
    k = min(k, *v.shape)
    low, high = v.aminmax()
    if float(low) == float(high) == 0.0:
        return _zero_spectrum(v, k)
    if 3 * min(v.shape) <= 4 * krylov_size(k):
        return _exact(v.double(), k)
    q = top_range(v, k)  # (out, k)
    z, sigma, turns = _svd(precise_transposed_product(v, q))  # Rayleigh-Ritz: (in, k), (k,), (k, k)
    u, z = q @ turns, z.contiguous()
    residual = column_residuals(v, z, u * sigma).max() / sigma[0]
    return Spectrum(u, sigma, z, float(residual))


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
    rest, rest_error = _residual_fourth_powers(v, spectrum.u)
    fourth = known + rest
    baseline = squared_norm / math.sqrt(out * fourth)
    return baseline, baseline * 0.5 * rest_error / fourth


def _residual_fourth_powers(v: Tensor, u: Tensor) -> tuple[float, float]:
    """‖V·Vᵀ‖_F² less Σσ⁴ of U's part by Gaussian probes, and the standard error of that mean.

    With B = V·Vᵀ, P = U·Uᵀ, R = I - P, this is ‖R·B·R‖² + 2·‖P·B·R‖²: U is not quite invariant.
    Rough products may move the baseline by a hundred-thousandth beyond the standard error.
    """
    generator = torch.Generator().manual_seed(PROBE_SEED)
    probes = torch.randn(v.shape[0], PROBES, generator=generator).to(v.device)  # (out, p)
    probes -= u @ (u.T @ probes)
    image = rough_product(v, rough_transposed_product(v, probes)).float()  # (out, p)
    inside = u.T @ image  # (k, p)
    image -= u @ inside
    samples = image.double().square().sum(dim=0) + 2 * inside.double().square().sum(dim=0)  # (p,)
    return float(samples.mean()), float(samples.std() / math.sqrt(PROBES))


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
