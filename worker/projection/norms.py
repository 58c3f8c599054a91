"""The norm of a whole matrix, summed in float64 without a float64 copy of it."""

import math

import torch
from torch import Tensor

BLOCK_ELEMENTS = 2**18  # temporaries of a size that memory allocators keep at hand


def frobenius(matrix: Tensor) -> float:
    """‖matrix‖_F, block by block."""
    total = torch.zeros((), dtype=torch.float64, device=matrix.device)
    for block in torch.split(matrix.reshape(-1), BLOCK_ELEMENTS):
        total += block.double().square().sum()
    return math.sqrt(float(total))
