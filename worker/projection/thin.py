"""Products with V in two thin passes: Vᵀ·B and V·(Vᵀ·B), never V·Vᵀ.

What they cost is reading V twice. They are made in float32, by products of bfloat16's numbers where
V and B hold no others, and in float64 where that cancels.
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
CANCELLATION = 4.0  # how often float32's rounding may be amplified before float64 takes over


class Arithmetic(Enum):
    """How V is multiplied. Products of bfloat16's numbers are exact; they are summed in float32."""

    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"


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

    If an output is so much smaller than its inputs' sizes that float32's rounding shows, the whole
    is done again in float64. Nothing is rounded to fewer digits on the way: what that took, whoever
    chose B could lay along the one direction that V makes most of.
    """
    return products_of_all(v, [update], norm)[0]


def products_of_all(v: Tensor, updates: Sequence[Update], norm: float) -> list[ThinProducts]:
    """The same for updates of several adapters, V being read once for all of them."""
    if norm == 0.0:
        return [_no_products(v, update) for update in updates]
    found: dict[int, ThinProducts] = {}
    quickest = [_quickest(v, update.b) for update in updates]
    for arithmetic in Arithmetic:
        at_hand = [n for n, its in enumerate(quickest) if its == arithmetic]
        made = _products(v, [updates[n] for n in at_hand], norm, arithmetic)
        found |= zip(at_hand, made, strict=True)
    for n, update in enumerate(updates):
        finest = quickest[n] == Arithmetic.FLOAT64
        if not finest and _amplification(v, update, norm, found[n]) > CANCELLATION:
            found[n] = _products(v, [update], norm, Arithmetic.FLOAT64)[0]
    return [found[n] for n in range(len(updates))]


def both_products(v: Tensor, update: Update, norm: float) -> tuple[Tensor, Tensor]:
    """Vᵀ·B (in, r) and C·B (out, r), whatever cancels."""
    arithmetic = _quickest(v, update.b)
    back = back_product(v, update.b, arithmetic)
    return back, forward_product(v, back, arithmetic) / norm


def back_product(v: Tensor, b: Tensor, arithmetic: Arithmetic) -> Tensor:
    """Vᵀ·B (in, r) for V (out, in) and B (out, r), in float32 or float64."""
    if _is_native(v, arithmetic):
        return native.back(v, b, pairs=arithmetic == Arithmetic.BFLOAT16)
    b = b.to(_dtype(arithmetic))
    result = torch.zeros(v.shape[1], b.shape[1], dtype=b.dtype, device=b.device)
    for start, block in _blocks(v, b.dtype):
        result.addmm_(block.T, b[start : start + block.shape[0]])
    return result


def forward_product(v: Tensor, x: Tensor, arithmetic: Arithmetic) -> Tensor:
    """V·X (out, r) for X (in, r), as above."""
    if _is_native(v, arithmetic):
        return native.forward(v, x)
    return torch.cat([block @ x for _, block in _blocks(v, x.dtype)])


def _quickest(v: Tensor, b: Tensor) -> Arithmetic:
    """In which nothing of B is lost, nor of V."""
    if b.dtype == torch.float64:
        return Arithmetic.FLOAT64
    pairs = v.dtype == torch.bfloat16 and _is_native(v, Arithmetic.BFLOAT16)
    exact = pairs and torch.equal(b, b.bfloat16().to(b.dtype))
    return Arithmetic.BFLOAT16 if exact else Arithmetic.FLOAT32


def _is_native(v: Tensor, arithmetic: Arithmetic) -> bool:
    if arithmetic == Arithmetic.FLOAT64 or v.device.type != "cpu" or not v.is_contiguous():
        return False
    return native.can(pairs=arithmetic == Arithmetic.BFLOAT16)


def _products(
    v: Tensor, updates: Sequence[Update], norm: float, arithmetic: Arithmetic
) -> list[ThinProducts]:
    if not updates:
        return []
    ranks = [update.rank for update in updates]
    b = updates[0].b if len(updates) == 1 else torch.cat([update.b for update in updates], dim=1)
    back = back_product(v, b, arithmetic)  # (in, Σr)
    image = forward_product(v, back, arithmetic) / norm  # (out, Σr)
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


def _amplification(v: Tensor, update: Update, norm: float, products: ThinProducts) -> float:
    """How much more than √n roundings an entry of C·B·A has lost, at worst.

    A sum of n terms in random signs is about √n terms large and loses √n roundings: amplification
    1. What comes out smaller than that has cancelled: in Vᵀ·B, in V·(VᵀB), or in (C·B)·A.
    """
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
