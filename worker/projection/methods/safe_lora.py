"""Safe LoRA as published: B := C·B with C = V·Vᵀ / ‖V‖_F (arXiv 2405.16833, section 3.2)."""

from core.policy import Policy
from worker.projection.module import ModuleSpectrum
from worker.projection.thin import ThinProducts
from worker.projection.update import Update


def safe_lora(
    update: Update, alignment: ModuleSpectrum, products: ThinProducts | None, policy: Policy, k: int
) -> Update:
    """`C·B` is at hand from scoring; A stays."""
    del update, alignment, policy, k
    assert products is not None  # noqa: S101  (the policy's validator holds this)
    return products.projected
