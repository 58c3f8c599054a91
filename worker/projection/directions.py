"""Which directions of the output an update writes to, against V's own.

A trained update mixes directions. One that is built to score high lies along single singular
vectors of V, or within the few that V has most of, and shows it here whatever its size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.projection.update import Update

NOTICEABLE = 0.01  # of ‖B·A‖²: directions of the update with less are not looked at,
NEAR_STRONGEST = 0.5  # unless they come this near to the strongest, as where all are alike


@dataclass(frozen=True)
class Directions:
    """With u_i the left singular vectors of V, and p_j those of B·A that are noticed: that hold 1 %
    of ‖B·A‖², or half of what the strongest holds.

    `count`     how many p_j there are: what rank the update is of, whatever rank it claims
    `purity`    max (u_i·p_j)²: 1 for a p_j that is a single u_i
    `confined`  max ‖U_kᵀ·p_j‖²: 1 for a p_j within the span of all the u_i stored; 0, for it says
                nothing, where these span over a third of all directions
    """

    count: int
    purity: float
    confined: float


def directions(update: Update, inside: Tensor) -> Directions:
    """`inside` = U_kᵀ·B (k, r). From r × r matrices alone, in float64, on the CPU; B·A is not zero.

    With A·Aᵀ = L·Lᵀ, the eigenvectors y_j of Lᵀ·BᵀB·L give p_j = B·L·y_j / σ_j.
    """
    seen = inside.double().cpu()  # (k, r)
    values, vectors = torch.linalg.eigh(update.a_gram)
    root = vectors * values.clamp(min=0.0).sqrt()  # (r, r)
    energies, turns = torch.linalg.eigh(root.T @ update.b_gram @ root)  # σ_j² rising, y_j
    noticed = torch.minimum(NOTICEABLE * energies.sum(), NEAR_STRONGEST * energies[-1])
    kept = energies >= noticed
    count = int(kept.sum())
    if not len(inside):
        return Directions(count, 0.0, 0.0)
    overlaps = (seen @ root @ turns[:, kept]) ** 2 / energies[kept]  # (k, count)
    few = 3 * len(seen) <= len(update.b)
    return Directions(
        count=count,
        purity=min(1.0, float(overlaps.max())),
        confined=min(1.0, float(overlaps.sum(dim=0).max())) if few else 0.0,
    )
