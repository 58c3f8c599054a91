"""The top singular directions of V, and the cosine that a random update would score.

Randomised range finder with power iterations: Halko, Martinsson, Tropp, SIAM Review 53 (2011),
algorithm 4.4. Seeds are fixed: the same V gives the same numbers on the same library.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from core.alignments import ENERGY_ROUNDING
from worker.projection.norms import frobenius

OVERSAMPLE = 16
POWER_ITERATIONS = 4
PROBES = 32
SEED = 20_240_516


@dataclass(frozen=True)
class Spectrum:
    """U_k (out, k), σ (k,) in falling order, Z_k (in, k), and `error` max ‖V·z - σ·u‖ / σ_1."""

    u: Tensor
    sigma: Tensor
    z: Tensor
    error: float


def top_singular(v: Tensor, k: int) -> Spectrum:
    """The top `k` singular triplets of float32 V (out, in); exact where a full SVD costs little."""
    k = min(k, *v.shape)
    if float(v.norm()) == 0.0:
        return _zero_spectrum(v, k)
    if min(v.shape) <= 2 * (k + OVERSAMPLE):
        u, sigma, zt = torch.linalg.svd(v.double(), full_matrices=False)
        u, sigma, z = u[:, :k], sigma[:k], zt[:k].T
    else:
        u, sigma, z = _range_finder(v, k)
    u, sigma, z = (x.float().contiguous() for x in (u, sigma, z))
    residual = (v @ z - u * sigma).norm(dim=0).max() / sigma[0]
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


def baseline_cosine(v: Tensor, spectrum: Spectrum) -> tuple[float, float]:
    """‖V‖_F² / (√out·‖V·Vᵀ‖_F), the expected cosine of a random update, and its standard error.

    ‖V·Vᵀ‖_F² = Σσ⁴. The part in U_k is taken exactly; the rest R = V - U·Uᵀ·V is probed with
    Gaussians g: E‖R·Rᵀ·g‖² = ‖R·Rᵀ‖_F². (0, 0) for V = 0.
    """
    out = v.shape[0]
    squared_norm = frobenius(v) ** 2
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
    """Σσ⁴ of (I - U·Uᵀ)·V by Gaussian probes, and the standard error of that mean."""
    generator = torch.Generator().manual_seed(SEED)
    probes = torch.randn(v.shape[0], PROBES, generator=generator).to(v.device)  # (out, p)
    probes -= u @ (u.T @ probes)
    image = v @ (v.T @ probes)  # (out, p)
    image -= u @ (u.T @ image)
    samples = image.double().square().sum(dim=0)  # (p,)
    return float(samples.mean()), float(samples.std() / math.sqrt(PROBES))


def _range_finder(v: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Algorithm 4.4, then Rayleigh-Ritz on the range found."""
    generator = torch.Generator().manual_seed(SEED)
    start = torch.randn(v.shape[1], k + OVERSAMPLE, generator=generator).to(v.device)
    q = torch.linalg.qr(v @ start).Q  # (out, l)
    for _ in range(POWER_ITERATIONS):
        q = torch.linalg.qr(v @ torch.linalg.qr(v.T @ q).Q).Q
    u, sigma, zt = torch.linalg.svd(q.T @ v, full_matrices=False)  # (l, l), (l,), (l, in)
    return (q @ u)[:, :k], sigma[:k], zt[:k].T


def _zero_spectrum(v: Tensor, k: int) -> Spectrum:
    """V = 0 has no directions; k zero columns keep the shapes."""
    return Spectrum(v.new_zeros(v.shape[0], k), v.new_zeros(k), v.new_zeros(v.shape[1], k), 0.0)
