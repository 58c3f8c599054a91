"""Where the top left singular vectors of V lie, found by a randomised block Krylov iteration.

Musco and Musco (2015), arXiv 1504.05477, algorithm 2, in two ways. The quick one works on VᵀV with
rough products: what they leave out is a thousandth, and whoever uses the range multiplies it by V
precisely once more. But it sees a direction as (σ_i / σ_1)² beside the rounding of σ_1, and where
that drowns one the careful way is right, several times slower.
"""

import torch
from torch import Tensor

from worker.projection.products import (
    precise_product,
    precise_transposed_product,
    rough_gram_product,
    rough_product,
)

BLOCKS = 6  # of the Krylov space: S, VᵀV·S, …, (VᵀV)⁵·S
SMALLEST_BLOCK = 16
SEED = 20_240_516
NOISE = 1e-12  # λ / λ_max of a Gram matrix below which float32 columns hold rounding only
TINY = 1e-60  # below the square of any float32: a column of zeros
SPANNED = 0.5  # ‖q‖² of a once orthonormal column below which the basis held it already


def krylov_size(k: int) -> int:
    """The dimension of the space that the top `k` directions are sought in."""
    return BLOCKS * _block_size(k)


def quick_range(v: Tensor, k: int) -> Tensor:
    """An orthonormal basis (out, k) of nearly the span of the top `k` left singular vectors.

    With K (in, d) an orthonormal basis of the Krylov space, the Ritz vectors V·K·e, e the
    eigenvectors of (V·K)ᵀ·(V·K).
    """
    images = _krylov_images(v, k)  # (out, d)
    _, turns = torch.linalg.eigh((images.T @ images).double())  # rising
    basis: Tensor = torch.linalg.qr(images @ turns[:, -k:].flip(1).float()).Q  # (out, k)
    return basis


def careful_range(v: Tensor, k: int) -> Tensor:
    """An orthonormal basis (out, d) of a space that holds the top `k` left singular vectors nearly.

    The same Krylov space in float32, its columns made orthonormal between V and Vᵀ too: V·S shows a
    direction as σ_i / σ_1, and once a block has taken σ_1 in, the next ones are free of it.
    """
    block, size = _block_size(k), krylov_size(k)
    s = _start(v, block)
    right, left = (torch.empty(n, size, device=v.device) for n in (v.shape[1], v.shape[0]))
    for first in range(0, size, block):
        here = slice(first, first + block)
        right[:, here] = _outside(s, right[:, :first])
        left[:, here] = _outside(precise_product(v, right[:, here]), left[:, :first])
        if first + block < size:
            s = precise_transposed_product(v, left[:, here])
    # Where V has no more directions a block may repeat earlier ones.
    orthonormal: Tensor = torch.linalg.qr(left).Q
    return orthonormal


def _krylov_images(v: Tensor, k: int) -> Tensor:
    """V·K (out, d) in float32."""
    block = _block_size(k)
    s = _start(v, block)
    basis = torch.empty(v.shape[1], krylov_size(k), device=v.device)
    images = []
    for first in range(0, basis.shape[1], block):
        q = _orthonormal(s, basis[:, :first])  # (in, b)
        basis[:, first : first + block] = q
        if first + block == basis.shape[1]:
            images.append(rough_product(v, q))
        else:
            image, s = rough_gram_product(v, q)
            images.append(image)
    return torch.cat(images, dim=1).float()


def _orthonormal(s: Tensor, basis: Tensor) -> Tensor:
    """Orthonormal columns for what S (in, b) has outside the basis; zero columns where it has less.

    Twice, for the first time leaves the rounding of what the basis took away.
    """
    for negligible in (NOISE, SPANNED):
        s = s - basis @ (basis.T @ s)
        wide = s.double()
        values, turns = torch.linalg.eigh(wide.T @ wide)  # (b,) rising, (b, b)
        kept = values > (negligible * values[-1]).clamp(min=TINY)
        scales = torch.where(kept, values, 1.0).rsqrt() * kept
        s = s @ (turns * scales).flip(1).float()
    return s


def _outside(s: Tensor, basis: Tensor) -> Tensor:
    """Orthonormal columns for what S (n, b) has outside the basis (n, c), small beside large."""
    for _ in range(2):  # the second time takes away what rounding left of the basis
        s = torch.linalg.qr(s - basis @ (basis.T @ s)).Q
    return s


def _start(v: Tensor, columns: int) -> Tensor:
    """Gaussians (in, columns), the same each time."""
    generator = torch.Generator().manual_seed(SEED)
    return torch.randn(v.shape[1], columns, generator=generator).to(v.device)


def _block_size(k: int) -> int:
    return max(SMALLEST_BLOCK, (k + 1) // 2)
