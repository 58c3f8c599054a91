"""Norms of whole matrices, summed in float64 without a float64 copy of them."""

import math

import torch
from torch import Tensor

BLOCK_ELEMENTS = 2**20


def frobenius(matrix: Tensor) -> float:
    """‖matrix‖_F, block by block."""
    total = torch.zeros((), dtype=torch.float64, device=matrix.device)
    for block in torch.split(matrix.reshape(-1), BLOCK_ELEMENTS):
        total += block.double().square().sum()
    return math.sqrt(float(total))


def difference_norm(left: Tensor, right: Tensor) -> float:
    """‖left - right‖_F of two matrices of one shape, block by block."""
    total = torch.zeros((), dtype=torch.float64, device=left.device)
    blocks = (torch.split(matrix.reshape(-1), BLOCK_ELEMENTS) for matrix in (left, right))
    for one, other in zip(*blocks, strict=True):
        total += (one.double() - other.double()).square().sum()
    return math.sqrt(float(total))
