"""Takes out what lies in V's top singular directions, on the input side, the output or both."""

import torch

from core.policy import Policy
from worker.projection.module import ModuleSpectrum
from worker.projection.thin import ThinProducts
from worker.projection.update import Update


def complement(
    update: Update, alignment: ModuleSpectrum, products: ThinProducts | None, policy: Policy, k: int
) -> Update:
    """input: A := A - A·Z·Zᵀ; output: B := B - U·Uᵀ·B; both: ΔW := ΔW - U·Uᵀ·ΔW·Z·Zᵀ.

    `both` returns factors of rank 2r; the caller cuts them back to r.
    """
    del products
    b, a = update.b, update.a
    u = alignment.u[:, :k].to(b.dtype)  # (out, k)
    z = alignment.z[:, :k].to(a.dtype)  # (in, k)
    if policy.side == "input":
        return Update(b, a - (a @ z) @ z.T)
    if policy.side == "output":
        return Update(b - u @ (u.T @ b), a)
    removed_b = u @ (u.T @ b)  # (out, r)
    removed_a = (a @ z) @ z.T  # (r, in)
    return Update(torch.cat([b, -removed_b], dim=1), torch.cat([a, removed_a], dim=0))
