"""One module, judged: its scores, and what the policy's method would make of it."""

import math
from dataclasses import dataclass

import torch

from core.alignments import needed_rank
from core.findings import Finding, finding
from core.policy import Policy
from core.selection import Score
from worker.adapter.model import LoraModule
from worker.alignment.make import LoadedModule
from worker.projection.apply import apply_method
from worker.projection.score import Scores, score_update
from worker.projection.thin import thin_products
from worker.projection.update import (
    HOPELESS_ABOVE,
    REFACTOR_ABOVE,
    Update,
    balanced,
    compress,
    conditioning,
    product_norm,
    survives_sixteen_bits,
)


@dataclass(frozen=True)
class Judged:
    """`update` as it was judged (refactored where the factors cancelled) with ‖B·A‖_F = `norm`,
    `projected` what the method leaves of it, with its own norm."""

    module: LoraModule
    loaded_baseline: float
    scores: Scores
    update: Update
    norm: float
    projected: Update
    projected_norm: float
    refactored: bool
    findings: tuple[Finding, ...]

    @property
    def score(self) -> Score:
        return Score(self.module.path, self.scores.cosine, self.loaded_baseline)

    @property
    def retained(self) -> float | None:
        return self.projected_norm / self.norm if self.norm else None


def judge(module: LoraModule, loaded: LoadedModule, policy: Policy) -> Judged:
    """Scores and projection of one module. Keeps only thin tensors, so V can be let go."""
    alignment = loaded.tensors
    update, norm, refactored, findings = _well_conditioned(module, alignment.v.device)
    products = thin_products(alignment.v, update, alignment.norm)
    scores = score_update(update, alignment, products, norm=norm, scaling=module.scaling)
    k = needed_rank(loaded.entry, policy)
    projected = apply_method(update, alignment, products, policy, k)
    projected_norm = product_norm(projected)
    findings += _limits(module, scores, policy, norm, alignment.norm)
    if policy.method == "subspace" and k == loaded.entry.out_features:
        findings.append(finding("projection_is_identity", "module", module.path))
    return Judged(
        module=module,
        loaded_baseline=alignment.baseline,
        scores=scores,
        update=update,
        norm=norm,
        projected=projected,
        projected_norm=projected_norm,
        refactored=refactored,
        findings=tuple(findings),
    )


def _well_conditioned(
    module: LoraModule, device: torch.device
) -> tuple[Update, float, bool, list[Finding]]:
    """The update, refactored in float64 where its factors cancel or do not bear 16 bits, or found
    beyond repair.

    A refactored update is also what is written, chosen or not: the uploaded factors would give
    another product in every other precision, which is a way round the projection.
    """
    uploaded = module.update
    update = Update(uploaded.b.to(device), uploaded.a.to(device))
    norm = product_norm(update)
    factor = conditioning(update, norm)
    if factor <= REFACTOR_ABOVE and survives_sixteen_bits(update, norm):
        return update, norm, False, []
    update = balanced(update)
    factor = conditioning(update, product_norm(update))
    refactored = compress(update, update.rank)
    norm = product_norm(refactored)
    if HOPELESS_ABOVE < factor < math.inf:
        detail = f"‖B‖·‖A‖ is {factor:.1e} times ‖B·A‖"
        return update, norm, True, [finding("ill_conditioned", "module", module.path, detail)]
    return refactored, norm, True, [finding("refactored", "module", module.path)]


def _limits(
    module: LoraModule, scores: Scores, policy: Policy, norm: float, alignment_norm: float
) -> list[Finding]:
    if norm == 0.0:
        return []
    found = []
    if alignment_norm == 0.0:
        found.append(finding("no_alignment_signal", "module", module.path))
    ratio = scores.update_ratio
    if ratio is not None:
        ratio *= module.served_scaling / module.scaling
    if ratio is None or ratio > policy.caps.update_ratio:
        detail = (
            f"{'unbounded' if ratio is None else f'{ratio:.3g}'}, cap {policy.caps.update_ratio}"
        )
        found.append(finding("update_ratio_over_cap", "module", module.path, detail))
    return found
