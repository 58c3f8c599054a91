"""B := 0. With strength λ this is plain scaling, the baseline that every method must beat."""

from core.policy import Policy
from worker.projection.module import ModuleSpectrum
from worker.projection.thin import ThinProducts
from worker.projection.update import Update


def zero(
    update: Update, alignment: ModuleSpectrum, products: ThinProducts | None, policy: Policy, k: int
) -> Update:
    """Nothing of the update is left."""
    del alignment, products, policy, k
    return Update(update.b.new_zeros(update.b.shape), update.a)
