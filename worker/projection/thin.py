"""Products with V in two thin passes: Vᵀ·B and V·(Vᵀ·B), never V·Vᵀ.

What they cost is reading V twice. They are made in the coarsest arithmetic that the result bears:
bfloat16 where V and B are in it, then float32, then float64 where that cancels too.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor
from torch.linalg import vector_norm

from worker.projection import native
from worker.projection.update import Update, product_norm

BLOCK_BYTES = 4 * 2**20
OVERFLOW_ROOM = 2.0**15  # half of float16's largest number


class Arithmetic(Enum):
    """Its value: how often its rounding may be amplified (see `_amplification`) until the next,
    finer one takes over. 16 bits are those of V and B, whose products are summed in float32; on a
    GPU what is made of them is rounded to 16 bits too."""

    SIXTEEN_BITS = 2.0
    FLOAT32 = 4.0
    FLOAT64 = math.inf


@dataclass(frozen=True)
class ThinProducts:
    """`back` = Vᵀ·B (in, r); `projected` = C·B·A, of the same A; `image_norm` its ‖·‖_F."""

    back: Tensor
    projected: Update
    image_norm: float

    @property
    def image(self) -> Tensor:
        """C·B = V·Vᵀ·B / ‖V‖_F (out, r), zero where V is."""
        return self.projected.b


def thin_products(v: Tensor, update: Update, norm: float) -> ThinProducts:
    """Both products for V (out, in), the update's B (out, r), and ‖V‖_F = `norm`.

    In 16 bits if V and B have no more. If an output is so much smaller than its inputs' sizes that
    rounding shows, the whole is done again in float32, and again in float64.
    """
    return products_of_all(v, [update], norm)[0]


def products_of_all(v: Tensor, updates: Sequence[Update], norm: float) -> list[ThinProducts]:
    """The same for updates of several adapters, V being read once for all of them."""
    if norm == 0.0:
        return [_no_products(v, update) for update in updates]
    found: dict[int, ThinProducts] = {}
    for arithmetic in Arithmetic:  # from coarse to fine
        left = [n for n in range(len(updates)) if n not in found]
        at_hand = [n for n in left if _bears(v, updates[n], arithmetic)]
        made = _products(v, [updates[n] for n in at_hand], norm, arithmetic)
        for n, products in zip(at_hand, made, strict=True):
            lost = _amplification(v, updates[n], norm, products, arithmetic)
            if lost <= arithmetic.value:
                found[n] = products
    return [found[n] for n in range(len(updates))]


def both_products(v: Tensor, update: Update, norm: float) -> tuple[Tensor, Tensor]:
    """Vᵀ·B (in, r) and C·B (out, r) in the coarsest arithmetic that B bears, whatever cancels."""
    arithmetic = next(each for each in Arithmetic if _bears(v, update, each))
    back = back_product(v, update.b, norm, arithmetic)
    return back, forward_product(v, back, norm, arithmetic) / norm


def back_product(v: Tensor, b: Tensor, norm: float, arithmetic: Arithmetic) -> Tensor:
    """Vᵀ·B (in, r) for V (out, in), B (out, r) and ‖V‖_F = `norm`, in float32 or float64."""
    if arithmetic == Arithmetic.SIXTEEN_BITS and v.is_cuda:
        return _scaled_product(v.T, b, norm)
    if _is_native(v, arithmetic):
        return native.back(v, b, pairs=arithmetic == Arithmetic.SIXTEEN_BITS)
    b = b.to(_dtype(arithmetic))
    result = torch.zeros(v.shape[1], b.shape[1], dtype=b.dtype, device=b.device)
    for start, block in _blocks(v, b.dtype):
        result.addmm_(block.T, b[start : start + block.shape[0]])
    return result


def forward_product(v: Tensor, x: Tensor, norm: float, arithmetic: Arithmetic) -> Tensor:
    """V·X (out, r) for X (in, r), as above."""
    if arithmetic == Arithmetic.SIXTEEN_BITS and v.is_cuda:
        return _scaled_product(v, x, norm)
    if _is_native(v, arithmetic):
        return native.forward(v, x)
    return torch.cat([block @ x for _, block in _blocks(v, x.dtype)])


def _bears(v: Tensor, update: Update, arithmetic: Arithmetic) -> bool:
    """Whether nothing of B is lost by it, nor of V."""
    if arithmetic == Arithmetic.SIXTEEN_BITS:
        if v.is_cuda:
            return update.narrow and v.dtype.itemsize == 2
        if v.dtype != torch.bfloat16 or update.b.dtype == torch.float64:
            return False
        return _is_native(v, arithmetic) and torch.equal(update.b, update.b.bfloat16().float())
    return arithmetic == Arithmetic.FLOAT64 or update.b.dtype != torch.float64


def _is_native(v: Tensor, arithmetic: Arithmetic) -> bool:
    if arithmetic == Arithmetic.FLOAT64 or v.device.type != "cpu" or not v.is_contiguous():
        return False
    return native.can(pairs=arithmetic == Arithmetic.SIXTEEN_BITS)


def _products(
    v: Tensor, updates: Sequence[Update], norm: float, arithmetic: Arithmetic
) -> list[ThinProducts]:
    if not updates:
        return []
    ranks = [update.rank for update in updates]
    b = updates[0].b if len(updates) == 1 else torch.cat([update.b for update in updates], dim=1)
    back = back_product(v, b, norm, arithmetic)  # (in, Σr)
    image = forward_product(v, back, norm, arithmetic) / norm  # (out, Σr)
    split = (torch.split(product, ranks, dim=1) for product in (back, image))
    each = zip(updates, *split, strict=True)
    return [_of_one(update, x, w) for update, x, w in each]


def _of_one(update: Update, back: Tensor, image: Tensor) -> ThinProducts:
    projected = update.with_b(image)
    return ThinProducts(back, projected, product_norm(projected))


def _no_products(v: Tensor, update: Update) -> ThinProducts:
    """Where V is zero."""
    back = torch.zeros(v.shape[1], update.rank, device=v.device)
    return ThinProducts(back, update.with_b(torch.zeros_like(update.b)), 0.0)


def _scaled_product(v: Tensor, x: Tensor, norm: float) -> Tensor:
    """V·X in V's own 16 bits, each column of X scaled by a power of two so that no entry of the
    product, which is ‖V‖_F·‖x‖ at most, leaves float16's range.

    X is taken as rounded, and what that took from it: whoever chose B chose the signs of that, and
    it could all lie along the one direction that V makes most of.
    """
    room = OVERFLOW_ROOM / max(norm, 1.0)
    scale = torch.exp2(torch.floor(torch.log2(room / x.float().norm(dim=0).clamp(min=1e-30))))
    scaled = x.float() * scale
    rounded = scaled.to(v.dtype)
    lost = (scaled - rounded.float()).to(v.dtype)
    one, other = torch.split((v @ torch.cat([rounded, lost], dim=1)).float(), x.shape[1], dim=1)
    return (one + other) / scale


def _dtype(arithmetic: Arithmetic) -> torch.dtype:
    return torch.float64 if arithmetic == Arithmetic.FLOAT64 else torch.float32


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


def _amplification(
    v: Tensor, update: Update, norm: float, products: ThinProducts, arithmetic: Arithmetic
) -> float:
    """How much more than √n roundings an entry of C·B·A has lost, at worst.

    A sum of n terms in random signs is about √n terms large and loses √n roundings: amplification
    1. What comes out smaller than that has cancelled: in Vᵀ·B, in V·(VᵀB), or in (C·B)·A.
    """
    if arithmetic == Arithmetic.FLOAT64:
        return 1.0
    out, in_ = v.shape
    b, a = _norm(update.b), _norm(update.a)
    back, image = float(products.back.norm()), float(products.image.norm())
    if products.image_norm == 0.0 or back == 0.0 or image == 0.0:
        return 1.0 if b == 0.0 or a == 0.0 else math.inf
    return max(
        norm * b / (math.sqrt(out) * back),
        back / (math.sqrt(in_) * image),
        image * a / (math.sqrt(update.rank) * products.image_norm),
    )


def _norm(factor: Tensor) -> float:
    """‖factor‖_F, which float16 may be too small to hold."""
    dtype = torch.promote_types(factor.dtype, torch.float32)
    return float(vector_norm(factor, dtype=dtype))
