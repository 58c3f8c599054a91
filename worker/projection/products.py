"""Products of V with thin matrices, V taken as it is stored and read in blocks of rows.

A rough product is for finding a range, a precise one for what is stored and for a range that a
rough one cannot find. No copy of all of V is made in any dtype: a block is converted where the
CPU's cache still holds it.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK_ELEMENTS = 2**21  # 4 MiB in 16 bits: measured, quicker than half or twice as much


def rough_dtype(v: Tensor) -> torch.dtype:
    """bfloat16 where V has 16 bits and the device multiplies in bfloat16, else float32."""
    quick = v.dtype.itemsize == 2 and _multiplies_bfloat16(v.device)
    return torch.bfloat16 if quick else torch.float32


def rough_product(v: Tensor, s: Tensor) -> Tensor:
    """V·S (out, c) in the rough dtype."""
    return _product(v, s.to(rough_dtype(v)))


def precise_product(v: Tensor, s: Tensor) -> Tensor:
    """V·S (out, c) in float32."""
    return _product(v, s)


def rough_transposed_product(v: Tensor, s: Tensor) -> Tensor:
    """Vᵀ·S (in, c) in float32, of products in the rough dtype."""
    s = s.to(rough_dtype(v))
    product = torch.zeros(v.shape[1], s.shape[1], device=v.device)
    for rows, block in _row_blocks(v, s.dtype):
        product += block.T @ s[rows]
    return product


def rough_gram_product(v: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """V·S (out, c) in the rough dtype, and Vᵀ·V·S (in, c) in float32, from one read of V."""
    s = s.to(rough_dtype(v))
    image = s.new_empty(v.shape[0], s.shape[1])
    returned = torch.zeros(v.shape[1], s.shape[1], device=v.device)
    for rows, block in _row_blocks(v, s.dtype):
        torch.mm(block, s, out=image[rows])
        returned += block.T @ image[rows]
    return image, returned


def precise_transposed_product(v: Tensor, u: Tensor) -> Tensor:
    """Vᵀ·U (in, c) in float32."""
    product = torch.zeros(u.shape[1], v.shape[1], device=v.device)  # Uᵀ·V: the quicker way round
    wide = u.T.contiguous()
    for rows, block in _row_blocks(v, torch.float32):
        product.addmm_(wide[:, rows], block)
    return product.T


def column_residuals(v: Tensor, z: Tensor, expected: Tensor) -> Tensor:
    """‖V·z_i - e_i‖ (c,) for the columns of Z (in, c) and of `expected` E (out, c).

    For V in bfloat16 it is that difference which is rounded, not V·z_i. What rounding Z changes
    stays: about 1e-3·‖V‖_F / √in, which is less than 1e-3·σ_1. Rounding V would change more.
    """
    z = z.to(rough_dtype(v) if v.dtype == torch.bfloat16 else torch.float32)
    squares = torch.zeros(z.shape[1], device=v.device)
    for rows, block in _row_blocks(v, z.dtype):
        near = expected[rows].to(z.dtype)  # (rows, c)
        difference = torch.addmm(near, block, z, beta=-1).float()
        squares += (difference + (near.float() - expected[rows])).square().sum(dim=0)
    return squares.sqrt()


def _product(v: Tensor, s: Tensor) -> Tensor:
    """V·S (out, c) in the dtype of S."""
    image = s.new_empty(v.shape[0], s.shape[1])
    for rows, block in _row_blocks(v, s.dtype):
        torch.mm(block, s, out=image[rows])
    return image


def _row_blocks(v: Tensor, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows of V in `dtype`, converted one after the other in the same memory.

    Memory that is new to the process costs more to touch than a block costs to convert.
    """
    step = min(v.shape[0], max(1, BLOCK_ELEMENTS // v.shape[1]))
    converted = None if v.dtype == dtype else v.new_empty(step, v.shape[1], dtype=dtype)
    for start in range(0, v.shape[0], step):
        block = v[start : start + step]
        rows = slice(start, start + len(block))
        yield rows, block if converted is None else converted[: len(block)].copy_(block)


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the hardware does, for torch emulates it elsewhere, slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
