"""Which directions of the output an update writes to, against V's own.

A trained update mixes directions. One that is built to score high lies along single singular
vectors of V, or within the few that V has most of, and shows it here whatever its size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.projection.update import Update

NOTICEABLE = 0.01  # of ‖B·A‖²: directions of the update with less are not looked at


@dataclass(frozen=True)
class Directions:
    """With p_j the left singular vectors of B·A that hold 1 % of ‖B·A‖² or more, u_i those of V.

    `purity`    max (u_i·p_j)²: 1 for a p_j that is a single u_i
    `confined`  max ‖U_kᵀ·p_j‖²: 1 for a p_j within the span of all the u_i stored; 0, for it says
                nothing, where these span over a third of all directions
    """

    purity: float
    confined: float


def directions(update: Update, inside: Tensor) -> Directions:
    """`inside` = U_kᵀ·B (k, r). From r × r matrices alone, in float64, on the CPU; B·A is not zero.

    With A·Aᵀ = L·Lᵀ, the eigenvectors y_j of Lᵀ·BᵀB·L give p_j = B·L·y_j / σ_j.
    """
    b, a = update.b.double(), update.a.double()
    if not len(inside):
        return Directions(0.0, 0.0)
    gram, seen = (a @ a.T).cpu(), inside.double().cpu()  # (r, r), (k, r)
    values, vectors = torch.linalg.eigh(gram)
    root = vectors * values.clamp(min=0.0).sqrt()  # (r, r)
    energies, turns = torch.linalg.eigh(root.T @ (b.T @ b).cpu() @ root)  # σ_j² rising, y_j
    kept = energies >= NOTICEABLE * energies.sum()
    overlaps = (seen @ root @ turns[:, kept]) ** 2 / energies[kept]  # (k, kept)
    return Directions(
        purity=min(1.0, float(overlaps.max())),
        confined=min(1.0, float(overlaps.sum(dim=0).max())) if 3 * len(seen) <= len(b) else 0.0,
    )
