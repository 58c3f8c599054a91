"""B := U_k·U_kᵀ·B. With k = the rank of V this is the paper's exact form V·(VᵀV)⁻¹·Vᵀ·B."""

from core.policy import Policy
from worker.projection.module import ModuleSpectrum
from worker.projection.thin import ThinProducts
from worker.projection.update import Update


def subspace(
    update: Update, alignment: ModuleSpectrum, products: ThinProducts | None, policy: Policy, k: int
) -> Update:
    """Keeps what lies in V's top `k` left singular directions; A stays."""
    del products, policy
    u = alignment.u[:, :k].to(update.b.dtype)  # (out, k)
    return update.with_b(u @ (u.T @ update.b))
