"""Products with V in two thin passes: Vᵀ·B and V·(Vᵀ·B), never V·Vᵀ.

V may be stored in 16 bits; it is read in blocks of rows that fit the processor's cache and
multiplied in float32, or in float64 where cancellation is measured.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.projection.update import Update, product_norm

BLOCK_BYTES = 4 * 2**20
CANCELLATION = 4.0  # how often float32's rounding may be amplified before float64 takes over


@dataclass(frozen=True)
class ThinProducts:
    """`back` = Vᵀ·B (in, r); `image` = V·Vᵀ·B / ‖V‖_F = C·B (out, r), zero where V is.

    `image_norm` = ‖C·B·A‖_F.
    """

    back: Tensor
    image: Tensor
    image_norm: float


def thin_products(v: Tensor, update: Update, norm: float) -> ThinProducts:
    """Both products for V (out, in), the update's B (out, r), and ‖V‖_F = `norm`.

    float32 first; if an output is so much smaller than its inputs' sizes that float32's rounding
    shows (see `_amplification`), the whole is done again in float64.
    """
    b = update.b
    if norm == 0.0:
        back = torch.zeros(v.shape[1], b.shape[1], device=b.device)
        return ThinProducts(back, torch.zeros_like(b), 0.0)
    if b.dtype != torch.float64:
        products = _in_dtype(v, b.float(), update.a, norm)
        if _amplification(v, update, norm, products) <= CANCELLATION:
            return products
    return _in_dtype(v, b.double(), update.a, norm)


def back_product(v: Tensor, x: Tensor) -> Tensor:
    """Vᵀ·X (in, r) for X (out, r), in X's dtype."""
    result = torch.zeros(v.shape[1], x.shape[1], dtype=x.dtype, device=x.device)
    for start, block in _blocks(v, x.dtype):
        result.addmm_(block.T, x[start : start + block.shape[0]])
    return result


def forward_product(v: Tensor, x: Tensor) -> Tensor:
    """V·X (out, r) for X (in, r), in X's dtype."""
    return torch.cat([block @ x for _, block in _blocks(v, x.dtype)])


def _in_dtype(v: Tensor, b: Tensor, a: Tensor, norm: float) -> ThinProducts:
    back = back_product(v, b)  # (in, r)
    image = forward_product(v, back) / norm  # (out, r)
    return ThinProducts(back, image, product_norm(Update(image, a)))


def _blocks(v: Tensor, dtype: torch.dtype) -> Iterator[tuple[int, Tensor]]:
    """(first row, rows) of V in `dtype`; whole where nothing is converted, and on a GPU.

    BLAS blocks better than this, and a GPU has no use for blocks of a processor's cache.
    """
    if v.dtype == dtype or v.is_cuda:
        yield 0, v.to(dtype)
        return
    rows = max(1, BLOCK_BYTES // (v.shape[1] * dtype.itemsize))
    for start in range(0, v.shape[0], rows):
        yield start, v[start : start + rows].to(dtype)


def _amplification(v: Tensor, update: Update, norm: float, products: ThinProducts) -> float:
    """How much more than √n roundings an entry of C·B·A has lost, at worst.

    A sum of n terms in random signs is about √n terms large and loses √n roundings: amplification
    1. What comes out smaller than that has cancelled: in Vᵀ·B, in V·(VᵀB), or in (C·B)·A.
    """
    out, in_ = v.shape
    b, a = float(update.b.norm()), float(update.a.norm())
    back, image = float(products.back.norm()), float(products.image.norm())
    if products.image_norm == 0.0 or back == 0.0 or image == 0.0:
        return 1.0 if b == 0.0 or a == 0.0 else math.inf
    return max(
        norm * b / (math.sqrt(out) * back),
        back / (math.sqrt(in_) * image),
        image * a / (math.sqrt(update.rank) * products.image_norm),
    )
