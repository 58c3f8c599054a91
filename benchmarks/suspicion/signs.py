"""What can be read off a scored module that may betray an attack on the method.

All of it from thin factors: with B = Q·R, from U_kᵀ·Q (k, r) and R·(A·Aᵀ)·Rᵀ (r, r). No product of
the size of the module is formed but those that scoring needs anyway.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from benchmarks.suspicion.pairs import AlignedPair
from core.policy import Policy
from worker.adapter.model import LoraModule
from worker.judge import Scored, score_module
from worker.projection.module import ModuleAlignment
from worker.projection.update import Update

TINY = 1e-300


@dataclass(frozen=True)
class ModuleSigns:
    """One module's numbers. σ_j, p_j: singular values and left singular vectors of B·A.

    step       <s·B·A, V> / ‖V‖²: -1 takes V back in full, whatever else the update holds
    top1       σ_1² / ‖B·A‖²
    spread     participation ratio (Σσ²)² / Σσ⁴, over the rank
    energy_1   share of ‖B·A‖² in u_1; `energy_4` in u_1…u_4
    hit        max_i ‖u_iᵀ·B·A‖² / ‖B·A‖²
    purity     max_{i,j} (u_i·p_j)² over the p_j that are noticed: 1 for a p_j that is a u_i
    confined   max_j ‖U_kᵀ·p_j‖² over the same p_j; 0 where U_k spans over a third of all directions
    weight_log2, cosine_log2   log₂ of update_ratio and cosine over the family's median
    adapter_log2               log₂ of update_ratio over the median of all modules
    """

    family: str
    family_size: int
    rank: int
    out_features: int
    cosine: float
    relative: float
    signed: float
    undo: float
    step: float
    energy: float
    update_ratio: float
    top1: float
    spread: float
    energy_1: float
    energy_4: float
    hit: float
    purity: float
    confined: float
    weight_log2: float
    cosine_log2: float
    adapter_log2: float


@dataclass(frozen=True)
class AdapterSigns:
    """All modules with an update, and the sums over them that have less noise than any one.

    undo_all   Σ min(0, <s·B·A, V>) / Σ(s·‖B·A‖·reach), reach as in `undo`
    step_all   Σ min(0, <s·B·A, V>) / Σ‖V‖², over the adapted modules
    """

    modules: tuple[ModuleSigns, ...]
    undo_all: float
    step_all: float


def adapter_signs(modules: Sequence[LoraModule], pair: AlignedPair) -> AdapterSigns:
    """Every number of every module whose update is not zero."""
    policy = Policy()
    scored = [score_module(m, pair.module(m.alignment_name), policy) for m in modules]
    scored = [s for s in scored if s.norm > 0.0]
    families: dict[str, list[Scored]] = defaultdict(list)
    for one in scored:
        families[one.module.family].append(one)
    aligned = [pair.module(s.module.alignment_name).tensors for s in scored]
    dots = [_dot(s, a) for s, a in zip(scored, aligned, strict=True)]
    reaches = [s.module.scaling * s.norm * s.scores.reach for s in scored]
    back = sum(min(0.0, dot) for dot in dots)
    return AdapterSigns(
        modules=tuple(
            _signs(s, a, families[s.module.family], scored)
            for s, a in zip(scored, aligned, strict=True)
        ),
        undo_all=back / max(sum(reaches), TINY),
        step_all=back / sum(a.norm**2 for a in aligned),
    )


def _dot(scored: Scored, alignment: ModuleAlignment) -> float:
    """<s·B·A, V>_F."""
    signed = scored.scores.signed or 0.0
    return signed * scored.module.scaling * scored.norm * alignment.norm


def _ratios(scored: Sequence[Scored]) -> list[float]:
    return [one.scores.update_ratio or 0.0 for one in scored]


def _signs(
    scored: Scored,
    alignment: ModuleAlignment,
    family: Sequence[Scored],
    everyone: Sequence[Scored],
) -> ModuleSigns:
    scores = scored.scores
    cosine, ratio = scores.cosine or 0.0, scores.update_ratio or 0.0
    sigma, overlaps = singular_overlaps(scored.update, alignment.u)
    share = sigma**2 / (sigma**2).sum()  # (r,)
    directions = overlaps @ share  # (k,): share of ‖B·A‖² in each u_i
    return ModuleSigns(
        family=scored.module.family,
        family_size=len(family),
        rank=scored.update.rank,
        out_features=alignment.v.shape[0],
        cosine=cosine,
        relative=cosine / alignment.baseline,
        signed=scores.signed or 0.0,
        undo=scores.undo or 0.0,
        step=_dot(scored, alignment) / alignment.norm**2,
        energy=scores.energy or 0.0,
        update_ratio=ratio,
        top1=float(share.max()),
        spread=float(1.0 / (share**2).sum()) / scored.update.rank,
        energy_1=float(directions[0]),
        energy_4=float(directions[:4].sum()),
        hit=float(directions.max()),
        purity=scores.purity or 0.0,
        confined=scores.confined or 0.0,
        weight_log2=_log2(ratio, median(_ratios(family))),
        cosine_log2=_log2(cosine, median(one.scores.cosine or 0.0 for one in family)),
        adapter_log2=_log2(ratio, median(_ratios(everyone))),
    )


def singular_overlaps(update: Update, u: Tensor) -> tuple[Tensor, Tensor]:
    """σ_j (r,) of B·A in falling order, and (u_i·p_j)² (k, r).

    With B = Q·R, the matrix R·(A·Aᵀ)·Rᵀ (r, r) has eigenvalues σ_j² and eigenvectors y_j, and
    p_j = Q·y_j.
    """
    b, a = update.b.double(), update.a.double()
    q, r = torch.linalg.qr(b)  # (out, p), (p, r)
    eigenvalues, vectors = torch.linalg.eigh(r @ (a @ a.T) @ r.T)  # (p,), (p, p)
    overlaps = (u.double().T @ q @ vectors) ** 2  # (k, p)
    return eigenvalues.clamp(min=0.0).sqrt().flip(0), overlaps.flip(1)


def _log2(value: float, of: float) -> float:
    return math.log2(max(value, TINY) / max(of, TINY))
