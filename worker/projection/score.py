"""The scores of one update against one module's alignment. r × r sums and the decision in float64.

cosine as in arXiv 2405.16833, section 3.2; the others see what it cannot: sign, size, and how
much of the update lies in V's top directions.
"""

import math
from dataclasses import dataclass

from torch import Tensor

from worker.projection.module import ModuleAlignment
from worker.projection.thin import ThinProducts
from worker.projection.update import Update, product_norm


@dataclass(frozen=True)
class Scores:
    """See `core.report.ModuleRow` for each; None where the update is zero."""

    cosine: float | None
    signed: float | None
    undo: float | None
    energy: float | None
    update_ratio: float | None


def score_update(
    update: Update,
    alignment: ModuleAlignment,
    products: ThinProducts,
    *,
    norm: float,
    scaling: float,
) -> Scores:
    """Scores of `scaling·B·A`, with `products` those of B and `norm` = ‖B·A‖_F."""
    if norm == 0.0:
        return Scores(None, None, None, None, 0.0)
    signed = _signed(update, alignment, products, norm)
    return Scores(
        cosine=_cosine(update, products, norm),
        signed=signed,
        undo=_undo(signed, alignment, update.rank),
        energy=_energy(update, alignment.u, norm),
        update_ratio=_update_ratio(scaling * norm, alignment.aligned_norm),
    )


def _update_ratio(size: float, aligned_norm: float) -> float | None:
    """s·‖B·A‖_F / ‖W_aligned‖_F; None next to a weight of zero, where any update is too large."""
    return size / aligned_norm if aligned_norm else None


def _cosine(update: Update, products: ThinProducts, norm: float) -> float:
    """<C·B·A, B·A> / (‖C·B·A‖·‖B·A‖); 0 where the projection leaves nothing."""
    if products.image_norm == 0.0:
        return 0.0
    a = update.a.double()
    inner = products.image.double().T @ update.b.double()  # (r, r)
    dot = float((inner * (a @ a.T)).sum())
    return min(1.0, max(0.0, dot / (products.image_norm * norm)))


def _signed(
    update: Update, alignment: ModuleAlignment, products: ThinProducts, norm: float
) -> float:
    """<B·A, V> / (‖B·A‖·‖V‖) from Σ (Vᵀ·B) ∘ Aᵀ; 0 for V = 0."""
    if alignment.norm == 0.0:
        return 0.0
    dot = float((products.back.double() * update.a.double().T).sum())
    return min(1.0, max(-1.0, dot / (norm * alignment.norm)))


def _undo(signed: float, alignment: ModuleAlignment, rank: int) -> float:
    """`signed` relative to the best any update of this rank could do: ±√Σ_{i≤r}σ_i² / ‖V‖_F.

    Directions past those stored are taken as large as the last one stored, ‖V‖_F at most.
    """
    sigma = alignment.sigma.double()[:rank]
    if alignment.norm == 0.0 or sigma.numel() == 0:
        return 0.0
    missing = max(0, min(rank, *alignment.v.shape) - sigma.numel())
    squared = float((sigma**2).sum() + missing * sigma[-1] ** 2)
    reachable = min(math.sqrt(squared), alignment.norm)
    return signed * alignment.norm / reachable


def _energy(update: Update, u: Tensor, norm: float) -> float:
    """‖U_kᵀ·B·A‖² / ‖B·A‖²."""
    inside = Update(u.T.to(update.b.dtype) @ update.b, update.a)  # (k, r), (r, in)
    return min(1.0, (product_norm(inside) / norm) ** 2)
