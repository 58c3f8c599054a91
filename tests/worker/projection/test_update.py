"""An update's size and closeness from r × r matrices and bounds, against dense products."""

import math

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from worker.projection.update import (
    ROUNDING_LIMIT,
    SIXTEEN_BITS,
    Update,
    is_near,
    product_norm,
    survives_sixteen_bits,
)

SEEDS = st.integers(0, 2**31)
RANKS = st.integers(1, 12)
SIZES = st.floats(-30.0, 6.0)  # powers of ten


def factors(rank: int, seed: int, size: float, decay: float) -> Update:
    """Factors whose columns shrink, mixed, with one entry here and there that is much larger."""
    random = torch.Generator().manual_seed(seed)
    mix = torch.linalg.qr(torch.randn(rank, rank, generator=random)).Q
    b = (torch.randn(40, rank, generator=random) * torch.logspace(0, -decay, rank)) @ mix
    a = torch.randn(rank, 30, generator=random)
    a[0, 0] *= 10.0 ** float(torch.randint(0, 4, (1,), generator=random))
    return Update(b * 10.0**size, a)


def loss_in(update: Update, dtype: torch.dtype) -> float:
    """What rounding either factor to `dtype` changes, from dense products in float64."""
    b, a = update.b.double(), update.a.double()
    b16, a16 = update.b.to(dtype).double(), update.a.to(dtype).double()
    if not bool(torch.isfinite(b16).all() & torch.isfinite(a16).all()):
        return math.inf
    return float(((b16 - b) @ a16).norm() + (b @ (a16 - a)).norm())


@settings(max_examples=300, deadline=None)
@given(RANKS, SEEDS, SIZES, st.floats(0.0, 4.0))
def test_survives_sixteen_bits_as_dense_products_have_it(
    rank: int, seed: int, size: float, decay: float
) -> None:
    """The bound that spares most updates the products lets none through that they would stop."""
    update = factors(rank, seed, size, decay)
    norm = float((update.b.double() @ update.a.double()).norm())
    loss, limit = max(loss_in(update, dtype) for dtype in SIXTEEN_BITS), ROUNDING_LIMIT * norm
    assume(not 0.999 < loss / limit < 1.001)
    assert survives_sixteen_bits(update, norm) == (loss <= limit)


@settings(max_examples=200, deadline=None)
@given(RANKS, SEEDS, SIZES, st.floats(-6.0, 1.0), st.sampled_from(["b", "a", "both", "none"]))
def test_near_is_what_the_difference_of_the_products_says(
    rank: int, seed: int, size: float, change: float, changed: str
) -> None:
    """Whichever factor differs, by little or much."""
    update = factors(rank, seed, size, 1.0)
    random = torch.Generator().manual_seed(seed + 1)

    def other(factor: Tensor) -> Tensor:
        noise = torch.randn(factor.shape, generator=random)
        return factor + float(10.0**change * factor.std()) * noise

    b = other(update.b) if changed in ("b", "both") and rank > 1 else update.b
    a = other(update.a) if changed in ("a", "both") else update.a
    dense = [x.double() @ y.double() for x, y in ((b, a), (update.b, update.a))]
    difference = float((dense[0] - dense[1]).norm())
    for limit in (0.5 * difference, 2.0 * difference):
        assume(difference > 1e-9 * float(dense[1].norm()) or changed == "none")
        assert is_near(Update(b, a), update, limit) == (difference <= limit)


def test_nan_is_near_nothing() -> None:
    """Not even itself."""
    update = factors(2, 0, 0.0, 0.0)
    damaged = Update(update.b * torch.nan, update.a)
    assert not is_near(damaged, update, math.inf)
    assert not is_near(damaged, Update(damaged.b.clone(), damaged.a), math.inf)


def test_another_factor_beside_the_same_one() -> None:
    """Its norm is that of the update made anew, whichever was asked first."""
    update, other = factors(3, 1, 0.0, 1.0), factors(3, 2, 2.0, 0.0)
    product_norm(update)
    for derived, anew in (
        (update.with_b(other.b), Update(other.b, update.a)),
        (update.with_a(other.a), Update(update.b, other.a)),
    ):
        assert product_norm(derived) == product_norm(anew)
