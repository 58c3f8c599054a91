"""A low-rank update B·A, its norm without forming it, and its refactoring where factors cancel."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

REFACTOR_ABOVE = 100.0  # ‖B‖·‖A‖ / ‖B·A‖ from which low precision visibly breaks the product
HOPELESS_ABOVE = 1e8  # from which even float64 leaves fewer than 8 digits
SIXTEEN_BITS = (torch.float16, torch.bfloat16)  # what readers cast an adapter to
ROUNDING_LIMIT = 0.02  # of ‖B·A‖_F; about ten times what bfloat16 costs a trained adapter


@dataclass(frozen=True)
class Update:
    """The product `b @ a` (out, in) of rank at most r, kept as its factors."""

    b: Tensor  # (out, r)
    a: Tensor  # (r, in)

    @property
    def rank(self) -> int:
        return int(self.a.shape[0])


def product_norm(update: Update) -> float:
    """‖B·A‖_F in float64, from r × r matrices; exact to rounding even where the factors cancel."""
    b, a = update.b.double(), update.a.double()
    squared = float(((b.T @ b) * (a @ a.T)).sum())  # tr(BᵀB·AAᵀ)
    scale = factor_norms(update)
    if scale == 0.0:
        return 0.0
    if squared > 1e-4 * scale**2:
        return math.sqrt(squared)
    return float(_core(b, a)[1].norm())


def factor_norms(update: Update) -> float:
    """‖B‖_F·‖A‖_F, the most that ‖B·A‖_F can be."""
    return float(update.b.double().norm() * update.a.double().norm())


def difference_norm(left: Update, right: Update) -> float:
    """‖B₁·A₁ - B₂·A₂‖_F in float64, without forming either product."""
    if torch.equal(left.a, right.a):
        return product_norm(Update(left.b.double() - right.b.double(), left.a))
    b = torch.cat([left.b.double(), -right.b.double()], dim=1)  # (out, r₁ + r₂)
    a = torch.cat([left.a.double(), right.a.double()], dim=0)  # (r₁ + r₂, in)
    return float(_core(b, a)[1].norm())


def conditioning(update: Update, norm: float) -> float:
    """‖B‖·‖A‖ / ‖B·A‖: 1 for a single direction, √r for random factors, huge where they cancel.

    A product below float64's rounding of the factors counts as an exact zero: 1.0 if the factors
    are zero themselves, infinity if they only cancel.
    """
    scale = factor_norms(update)
    if scale == 0.0:
        return 1.0
    rounding = 4 * update.rank * torch.finfo(torch.float64).eps
    return math.inf if norm <= rounding * scale else scale / norm


def survives_sixteen_bits(update: Update, norm: float) -> bool:
    """True if float16 and bfloat16 factors still give B·A of ‖B·A‖_F = `norm`, to 2 %.

    Not where entries round together, nor where one factor underflows or overflows float16 and the
    other makes up for it: a reader in 16 bits would serve another product than the one judged.
    """
    b, a = update.b.double(), update.a.double()
    for dtype in SIXTEEN_BITS:
        b16, a16 = update.b.to(dtype).double(), update.a.to(dtype).double()
        if not bool(torch.isfinite(b16).all() & torch.isfinite(a16).all()):
            return False
        loss = product_norm(Update(b16 - b, a16)) + product_norm(Update(b, a16 - a))
        if loss > ROUNDING_LIMIT * norm:
            return False
    return True


def balanced(update: Update) -> Update:
    """The same product in float64, each column of B about as large as its row of A.

    Scaled by powers of two, so nothing is rounded; a column or row without a partner is zeroed.
    """
    b, a = update.b.double(), update.a.double()
    b_sizes, a_sizes = b.norm(dim=0), a.norm(dim=1)  # (r,), (r,)
    used = (b_sizes > 0.0) & (a_sizes > 0.0)
    shift = torch.where(used, torch.log2(a_sizes / b_sizes) / 2, 0.0).round()
    return Update(
        torch.where(used, torch.ldexp(b, shift), 0.0),
        torch.where(used[:, None], torch.ldexp(a, -shift[:, None]), 0.0),
    )


def compress(update: Update, rank: int) -> Update:
    """The best update of at most `rank` (Eckart-Young), with balanced factors, in float64.

    B·A = Q_b·(R_b·R_aᵀ)·Q_aᵀ and the r × r core's SVD; singular values that float64 cannot tell
    from zero become zero. Factors have exactly min(rank, out, in) columns, or r if that is less.
    """
    b, a = update.b.double(), update.a.double()
    q_b, core, q_a = _core(b, a)
    left, sigma, right = torch.linalg.svd(core, full_matrices=False)
    rounding = 4 * update.rank * torch.finfo(torch.float64).eps
    sigma = torch.where(sigma > rounding * factor_norms(update), sigma, 0.0)
    kept = min(rank, int(sigma.shape[0]))
    root = sigma[:kept].sqrt()  # (kept,)
    new_b = q_b @ (left[:, :kept] * root)  # (out, kept)
    new_a = (root[:, None] * right[:kept]) @ q_a.T  # (kept, in)
    return _padded(Update(new_b, new_a), rank)


def _core(b: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Q_b (out, p), the core (p, q) and Q_a (in, q) with B·A = Q_b·core·Q_aᵀ."""
    q_b, r_b = torch.linalg.qr(b)
    q_a, r_a = torch.linalg.qr(a.T)
    return q_b, r_b @ r_a.T, q_a


def _padded(update: Update, rank: int) -> Update:
    """Zero columns up to `rank`, where out or in is smaller: the module's rank must stay."""
    missing = rank - update.rank
    if missing <= 0:
        return update
    return Update(
        torch.nn.functional.pad(update.b, (0, missing)),
        torch.nn.functional.pad(update.a, (0, 0, 0, missing)),
    )
