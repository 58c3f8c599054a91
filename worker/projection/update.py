"""A low-rank update B·A, its norm without forming it, and its refactoring where factors cancel."""

import math
from dataclasses import dataclass
from functools import cached_property

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

    @cached_property
    def b_gram(self) -> Tensor:
        """BᵀB (r, r) in float64, on the CPU: all that is asked of B's size comes from it."""
        b = self.b.double()
        return (b.T @ b).cpu()

    @cached_property
    def a_gram(self) -> Tensor:
        """A·Aᵀ (r, r) in float64, on the CPU."""
        a = self.a.double()
        return (a @ a.T).cpu()

    def to(self, device: torch.device) -> "Update":
        """The same update there: itself, if it is there already."""
        if self.b.device == device and self.a.device == device:
            return self
        return Update(self.b.to(device), self.a.to(device))

    def with_b(self, b: Tensor) -> "Update":
        """The update of another B and the same A, whose Gram matrix is not made again."""
        other = Update(b, self.a)
        if "a_gram" in self.__dict__:
            other.__dict__["a_gram"] = self.a_gram
        return other

    def with_a(self, a: Tensor) -> "Update":
        """The update of another A and the same B, whose Gram matrix is not made again."""
        other = Update(self.b, a)
        if "b_gram" in self.__dict__:
            other.__dict__["b_gram"] = self.b_gram
        return other


def product_norm(update: Update) -> float:
    """‖B·A‖_F in float64, from r × r matrices; exact to rounding even where the factors cancel."""
    squared = float((update.b_gram * update.a_gram).sum())  # tr(BᵀB·AAᵀ)
    scale = factor_norms(update)
    if scale == 0.0:
        return 0.0
    if squared > 1e-4 * scale**2:
        return math.sqrt(squared)
    return float(_core(update.b.double(), update.a.double())[1].norm())


def factor_norms(update: Update) -> float:
    """‖B‖_F·‖A‖_F, the most that ‖B·A‖_F can be."""
    return math.sqrt(float(update.b_gram.trace())) * math.sqrt(float(update.a_gram.trace()))


def difference_norm(left: Update, right: Update) -> float:
    """‖B₁·A₁ - B₂·A₂‖_F in float64, without forming either product."""
    if torch.equal(left.a, right.a):
        return product_norm(right.with_b(left.b.double() - right.b.double()))
    b = torch.cat([left.b.double(), -right.b.double()], dim=1)  # (out, r₁ + r₂)
    a = torch.cat([left.a.double(), right.a.double()], dim=0)  # (r₁ + r₂, in)
    return float(_core(b, a)[1].norm())


def is_near(left: Update, right: Update, limit: float) -> bool:
    """Whether ‖B₁·A₁ - B₂·A₂‖_F ≤ `limit`, for factors of the same shapes; NaN is near nothing."""
    return _difference_bound(left, right) <= limit or difference_norm(left, right) <= limit


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
    limit = ROUNDING_LIMIT * norm
    largest = _largest(update.b_gram), _largest(update.a_gram)
    return all(
        _rounding_bound(update, largest, dtype) <= limit or _survives(update, dtype, limit)
        for dtype in SIXTEEN_BITS
    )


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


def _survives(update: Update, dtype: torch.dtype, limit: float) -> bool:
    b16, a16 = update.b.to(dtype), update.a.to(dtype)
    if not bool(torch.isfinite(b16).all() & torch.isfinite(a16).all()):
        return False
    # What rounding took away has no more digits than what it was taken from.
    loss = product_norm(Update(b16 - update.b, a16))
    return loss + product_norm(update.with_a(a16 - update.a)) <= limit


def _rounding_bound(update: Update, largest: tuple[float, float], dtype: torch.dtype) -> float:
    """What rounding both factors costs at most, from their Gram matrices and what no singular value
    of each passes (`largest`); infinite where an entry may be too large for `dtype`.

    ‖ΔB·(A+ΔA)‖ + ‖B·ΔA‖ for roundings of half a unit in the last place.
    """
    kind = torch.finfo(dtype)
    b, a = math.sqrt(float(update.b_gram.trace())), math.sqrt(float(update.a_gram.trace()))
    if not max(b, a) < kind.max:
        return math.inf
    half, least = kind.eps / 2, kind.smallest_normal * kind.eps / 2
    lost_b = half * b + least * math.sqrt(update.b.numel())  # ‖ΔB‖_F
    lost_a = half * a + least * math.sqrt(update.a.numel())  # ‖ΔA‖_F
    return lost_b * (largest[1] + lost_a) + largest[0] * lost_a


def _largest(gram: Tensor) -> float:
    """What no singular value of the factor passes whose Gram matrix G this is: ‖G²‖_F^¼, with G
    divided by its trace on the way, that no square of it underflows."""
    trace = float(gram.trace())
    if not 0.0 < trace < math.inf:
        return trace
    scaled = gram / trace
    return math.sqrt(trace * math.sqrt(float((scaled @ scaled).norm())))


def _difference_bound(left: Update, right: Update) -> float:
    """‖B₁-B₂‖·‖A₁‖ + ‖B₂‖·‖A₁-A₂‖, which the norm of the difference cannot pass: a fraction of its
    cost, and enough for most updates."""
    b, a = _distance(left.b, right.b), _distance(left.a, right.a)
    return (b and b * _norm(left.a)) + (a and a * _norm(right.b))


def _distance(left: Tensor, right: Tensor) -> float:
    """‖left - right‖_F."""
    return 0.0 if left is right else _norm(left.double() - right.double())


def _norm(factor: Tensor) -> float:
    """‖factor‖_F, summed in float64."""
    flat = factor.double().reshape(-1)
    return math.sqrt(float(torch.dot(flat, flat)))


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
