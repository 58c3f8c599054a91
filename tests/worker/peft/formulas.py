"""Each method of a policy as a dense float64 formula: V (out, in), B, A → the product left."""

from collections.abc import Callable

import torch
from torch import Tensor

from tests.worker.projection.dense import dense

Project = Callable[[Tensor, Tensor, Tensor], Tensor]


def safe_lora(v: Tensor, b: Tensor, a: Tensor) -> Tensor:
    """V·Vᵀ/‖V‖_F · B·A."""
    return dense(v, b, a).projected


def zero(v: Tensor, b: Tensor, a: Tensor) -> Tensor:  # noqa: ARG001  (one signature for all)
    return torch.zeros(b.shape[0], a.shape[1], dtype=torch.float64)


def subspace(k: int) -> Project:
    """U_k·U_kᵀ·B·A."""

    def project(v: Tensor, b: Tensor, a: Tensor) -> Tensor:
        left, _ = _projectors(v, k)
        return left @ b.double() @ a.double()

    return project


def complement(side: str, k: int) -> Project:
    """B·A without what lies in V's top k input or output directions, or in both at once."""

    def project(v: Tensor, b: Tensor, a: Tensor) -> Tensor:
        left, right = _projectors(v, k)
        update = b.double() @ a.double()
        if side == "input":
            return update - update @ right
        if side == "output":
            return update - left @ update
        return update - left @ update @ right

    return project


def blended(project: Project, strength: float) -> Project:
    """(1-λ)·B·A + λ·projected, cut back to rank r, which only complement of both sides exceeds."""

    def blend(v: Tensor, b: Tensor, a: Tensor) -> Tensor:
        update = b.double() @ a.double()
        return _best_of_rank((1 - strength) * update + strength * project(v, b, a), b.shape[1])

    return blend


def _projectors(v: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """U_k·U_kᵀ (out, out) and Z_k·Z_kᵀ (in, in)."""
    u, _, zt = torch.linalg.svd(v.double(), full_matrices=False)
    return u[:, :k] @ u[:, :k].T, zt[:k].T @ zt[:k]


def _best_of_rank(matrix: Tensor, rank: int) -> Tensor:
    u, sigma, zt = torch.linalg.svd(matrix, full_matrices=False)
    best: Tensor = (u[:, :rank] * sigma[:rank]) @ zt[:rank]
    return best
