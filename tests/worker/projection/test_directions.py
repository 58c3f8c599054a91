"""Which of V's directions an update writes to: r × r matrices against a dense SVD."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import pad

from worker.projection.directions import NEAR_STRONGEST, NOTICEABLE, directions
from worker.projection.update import Update

SIZES = st.tuples(st.integers(2, 40), st.integers(2, 40), st.integers(1, 12), st.integers(1, 8))


def by_dense_svd(update: Update, u: Tensor) -> tuple[float, float]:
    """Purity and confined from the product itself."""
    left, sigma, _ = torch.linalg.svd(update.b.double() @ update.a.double(), full_matrices=False)
    share = sigma**2 / (sigma**2).sum()
    noticed = min(NOTICEABLE, NEAR_STRONGEST * float(share.max()))
    overlaps = (u.double().T @ left[:, share >= noticed]) ** 2
    return float(overlaps.max()), float(overlaps.sum(dim=0).max())


def made(sizes: tuple[int, int, int, int], seed: int) -> tuple[Update, Tensor]:
    """An update with singular values well apart, and k orthonormal directions."""
    out, in_, rank, k = sizes
    random = torch.Generator().manual_seed(seed)
    rank, k = min(rank, out, in_), min(k, out)
    b = torch.linalg.qr(torch.randn(out, rank, generator=random)).Q
    a = torch.linalg.qr(torch.randn(in_, rank, generator=random)).Q.T
    mix = torch.randn(rank, rank, generator=random) + 3 * torch.eye(rank)
    b = b * torch.logspace(0, -0.9, rank)
    u = torch.linalg.qr(torch.randn(out, k, generator=random)).Q
    return Update(b @ mix, torch.linalg.solve(mix, a)), u


@settings(max_examples=200, deadline=None)
@given(SIZES, st.integers(0, 2**31))
def test_as_a_dense_svd_has_it(sizes: tuple[int, int, int, int], seed: int) -> None:
    """Whatever the factors that an update is handed over in."""
    update, u = made(sizes, seed)
    purity, confined = by_dense_svd(update, u)
    found = directions(update, u.T @ update.b)
    assert abs(found.purity - purity) < 1e-4
    if 3 * u.shape[1] <= u.shape[0]:
        assert abs(found.confined - confined) < 1e-4
    else:
        assert found.confined == 0.0


def test_the_extremes() -> None:
    """An update along one u_i is pure, one within their span confined, one beside them neither."""
    random = torch.Generator().manual_seed(1)
    u = torch.linalg.qr(torch.randn(30, 4, generator=random)).Q
    beside = torch.linalg.qr(torch.cat([u, torch.randn(30, 2, generator=random)], dim=1)).Q[:, 4:]
    a = torch.randn(1, 9, generator=random)

    def of(b: Tensor) -> tuple[float, float]:
        found = directions(Update(b, a), u.T @ b)
        return round(found.purity, 4), round(found.confined, 4)

    assert of(u[:, 2:3]) == (1.0, 1.0)
    assert of(u.sum(dim=1, keepdim=True)) == (0.25, 1.0)
    assert of(beside[:, :1]) == (0.0, 0.0)


@pytest.mark.parametrize("rank", [50, 99, 100, 101, 128, 256])
def test_many_equal_directions_are_all_noticed(rank: int) -> None:
    """Above rank 100 none of them holds 1 % of the update."""
    random = torch.Generator().manual_seed(rank)
    b, a = (torch.linalg.qr(torch.randn(300, rank, generator=random)).Q for _ in range(2))
    u = torch.linalg.qr(torch.randn(300, 64, generator=random)).Q
    assert directions(Update(b, a.T), u.T @ b).count == rank
    within = Update(u, a.T[:64])
    if rank >= 64:
        assert directions(within, u.T @ within.b).confined > 0.999


@pytest.mark.parametrize("padding", [0, 1, 61])
def test_zero_columns_are_no_directions(padding: int) -> None:
    """An update of rank 3 counts three, whatever rank its factors claim."""
    random = torch.Generator().manual_seed(3)
    b, a = torch.randn(70, 3, generator=random), torch.randn(3, 80, generator=random)
    padded = Update(pad(b, (0, padding)), pad(a, (0, 0, 0, padding)))
    u = torch.linalg.qr(torch.randn(70, 4, generator=random)).Q
    found, plain = directions(padded, u.T @ padded.b), directions(Update(b, a), u.T @ b)
    assert found.count == plain.count == 3
    assert abs(found.purity - plain.purity) < 1e-9


def test_no_stored_direction_says_nothing() -> None:
    """A module whose V is zero may have none."""
    update = Update(torch.ones(3, 1), torch.ones(1, 2))
    found = directions(update, torch.zeros(0, 1))
    assert (found.purity, found.confined) == (0.0, 0.0)
