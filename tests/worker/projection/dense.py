"""The paper's formulas written plainly in float64, every matrix in full: what ours must equal."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Dense:
    """C·B·A (out, in), and the scores of B·A; cosine None for a zero update."""

    projected: Tensor
    cosine: float | None
    signed: float | None


def dense(v: Tensor, b: Tensor, a: Tensor) -> Dense:
    v, b, a = v.double(), b.double(), a.double()
    norm = float(v.norm())
    c = v @ v.T / norm if norm else torch.zeros(v.shape[0], v.shape[0], dtype=torch.float64)
    update = b @ a
    projected = c @ update
    size = float(update.norm())
    # what is below float64's rounding of the factors is an exact zero
    if size <= 1e-14 * float(b.norm()) * float(a.norm()):
        return Dense(projected, None, None)
    denominator = float(projected.norm()) * size
    cosine = float((projected * update).sum()) / denominator if denominator else 0.0
    signed = float((update * v).sum()) / (size * norm) if norm else 0.0
    return Dense(projected, cosine, signed)


def exact_baseline(v: Tensor) -> float:
    """‖V‖_F² / (√out·‖V·Vᵀ‖_F)."""
    v = v.double()
    return float(v.norm() ** 2 / (math.sqrt(v.shape[0]) * (v @ v.T).norm()))
