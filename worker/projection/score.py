"""The scores of one update against one module's alignment. r × r sums and the decision in float64.

cosine as in arXiv 2405.16833, section 3.2; the others see what it cannot: sign, size, and how
much of the update lies in V's top directions.
"""

import math
from dataclasses import dataclass

from worker.projection.directions import directions
from worker.projection.module import ModuleSpectrum
from worker.projection.thin import ThinProducts
from worker.projection.update import Update, product_norm


@dataclass(frozen=True)
class Scores:
    """See `core.report.ModuleRow` for each; None where the update is zero, and the first three
    where V was not loaded.

    `reach`: the most of V that an update in as many directions can point along, √Σ_{i≤n}σ_i².
    """

    cosine: float | None
    signed: float | None
    undo: float | None
    reach: float
    energy: float | None
    input_energy: float | None
    purity: float | None
    confined: float | None
    update_ratio: float | None


def score_update(
    update: Update,
    alignment: ModuleSpectrum,
    products: ThinProducts | None,
    *,
    norm: float,
    scaling: float,
) -> Scores:
    """Scores of `scaling·B·A`, with `products` those of B and `norm` = ‖B·A‖_F.

    Without `products` those that V's spectrum gives.
    """
    if norm == 0.0:
        return Scores(None, None, None, 0.0, None, None, None, None, 0.0)
    read = update.with_a(update.a @ alignment.z.to(update.a.dtype))  # (out, r), (r, k)
    seen = update.b.T @ alignment.u.to(update.b.dtype)  # (r, k): five times as quick as its like
    inside = update.with_b(seen.T)  # (k, r), (r, in)
    written_to = directions(update, inside.b)
    reach = _reach(alignment, written_to.count)
    signed = None if products is None else _signed(update, alignment, products, norm)
    return Scores(
        cosine=None if products is None else cosine(update, products, norm),
        signed=signed,
        undo=None if signed is None else _undo(signed, alignment, reach),
        reach=reach,
        energy=min(1.0, (product_norm(inside) / norm) ** 2),  # ‖U_kᵀ·B·A‖² / ‖B·A‖²
        input_energy=min(1.0, (product_norm(read) / norm) ** 2),  # ‖B·A·Z_k‖² / ‖B·A‖²
        purity=written_to.purity,
        confined=written_to.confined,
        update_ratio=_update_ratio(scaling * norm, alignment.aligned_norm),
    )


def _update_ratio(size: float, aligned_norm: float) -> float | None:
    """s·‖B·A‖_F / ‖W_aligned‖_F; None next to a weight of zero, where any update is too large."""
    return size / aligned_norm if aligned_norm else None


def cosine(update: Update, products: ThinProducts, norm: float) -> float:
    """<C·B·A, B·A> / (‖C·B·A‖·‖B·A‖); 0 where the projection leaves nothing."""
    if products.image_norm == 0.0:
        return 0.0
    inner = (products.image.double().T @ update.b.double()).cpu()  # (r, r)
    dot = float((inner * update.a_gram).sum())
    return min(1.0, max(0.0, dot / (products.image_norm * norm)))


def _signed(
    update: Update, alignment: ModuleSpectrum, products: ThinProducts, norm: float
) -> float:
    """<B·A, V> / (‖B·A‖·‖V‖) from Σ (Vᵀ·B) ∘ Aᵀ; 0 for V = 0."""
    if alignment.norm == 0.0:
        return 0.0
    dot = float((update.a.double() @ products.back.double()).trace())
    return min(1.0, max(-1.0, dot / (norm * alignment.norm)))


def _undo(signed: float, alignment: ModuleSpectrum, reach: float) -> float:
    """`signed` over the most negative it could be; 0 where no update points along V."""
    return min(1.0, max(-1.0, signed * alignment.norm / reach)) if reach else 0.0


def _reach(alignment: ModuleSpectrum, rank: int) -> float:
    """√Σ_{i≤n}σ_i² for n = `rank`, ‖V‖_F at most: those past what is stored count as the last."""
    sigma = alignment.sigma.double()[:rank]
    if alignment.norm == 0.0 or sigma.numel() == 0:
        return 0.0
    full = min(alignment.u.shape[0], alignment.z.shape[0])
    missing = max(0, min(rank, full) - sigma.numel())
    squared = float((sigma**2).sum() + missing * sigma[-1] ** 2)
    return min(math.sqrt(squared), alignment.norm)
