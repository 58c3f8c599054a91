"""A policy's method and strength, applied to one update."""

import torch

from core.policy import Policy
from worker.projection.methods import METHODS
from worker.projection.module import ModuleSpectrum
from worker.projection.thin import ThinProducts
from worker.projection.update import (
    REFACTOR_ABOVE,
    Update,
    compress,
    conditioning,
    product_norm,
)


def apply_method(
    update: Update, alignment: ModuleSpectrum, products: ThinProducts | None, policy: Policy, k: int
) -> Update:
    """(1-λ)·B·A + λ·method(B·A), cut back to the update's own rank.

    `products` are those of `update.b`, None where V is not loaded; `k` is how many of V's
    directions the policy uses here.
    """
    projected = METHODS[policy.method](update, alignment, products, policy, k)
    blended = _blend(update, projected, policy.strength)
    if blended.rank > update.rank:
        return compress(blended, update.rank)
    if conditioning(blended, product_norm(blended)) > REFACTOR_ABOVE:
        return compress(blended, update.rank)
    return blended


def _blend(old: Update, new: Update, strength: float) -> Update:
    """Along the one factor that the method changed; along both where it changed both."""
    if strength == 1.0:
        return new
    if new.a is old.a:
        return old.with_b(torch.lerp(old.b.to(new.b.dtype), new.b, strength))
    if new.b is old.b:
        return old.with_a(torch.lerp(old.a.to(new.a.dtype), new.a, strength))
    return Update(
        torch.cat([(1.0 - strength) * old.b, strength * new.b], dim=1),
        torch.cat([old.a, new.a], dim=0),
    )
