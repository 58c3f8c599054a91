"""One module, judged: its scores, and what the policy's method would make of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from core.alignments import needed_rank
from core.findings import Finding, finding
from core.policy import Policy
from core.selection import Score
from worker.adapter.model import LoraModule
from worker.alignment.loaded import LoadedSpectrum
from worker.alignment.make import LoadedModule
from worker.projection.apply import apply_method
from worker.projection.module import ModuleAlignment, ModuleSpectrum
from worker.projection.score import Scores, score_update
from worker.projection.thin import ThinProducts, products_of_all
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

SMALLEST = 1e-30  # ‖B·A‖_F below which float32 factors cannot carry what is left of it


@dataclass(frozen=True)
class Scored:
    """A module's update as it is judged (refactored where its factors cancelled), its scores, and
    the thin products that both scores and method need, None without V. ‖B·A‖_F = `norm`."""

    module: LoraModule
    update: Update
    norm: float
    products: ThinProducts | None
    scores: Scores
    refactored: bool
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Judged:
    """What is kept of a module until all are judged: thin tensors only, so that V can be let go.

    `directions`: how many of V's the method used. `projected` is what it leaves, chosen or not;
    `refactored` the update to write if the module is not chosen, None where that is the upload's.
    """

    module: LoraModule
    baseline: float
    alignment_norm: float
    scores: Scores
    norm: float
    directions: int | None
    projected: Update
    projected_norm: float
    refactored: Update | None
    findings: tuple[Finding, ...]

    @property
    def score(self) -> Score:
        """By the alignment's name: a family's cut must not depend on the upload's spelling."""
        return Score(
            self.module.alignment_name, self.scores.cosine, self.baseline, self.norm == 0.0
        )

    @property
    def size(self) -> float:
        """‖s·B·A‖_F at the largest scale that a known reader serves it with."""
        return self.module.served_scaling * self.norm

    @property
    def served_ratio(self) -> float | None:
        """`update_ratio` at that scale."""
        ratio = self.scores.update_ratio
        return None if ratio is None else ratio * self.module.served_scaling / self.module.scaling

    @property
    def retained(self) -> float | None:
        return self.projected_norm / self.norm if self.norm else None


def score_module(
    module: LoraModule, loaded: LoadedModule | LoadedSpectrum, policy: Policy
) -> Scored:
    """The scores of one module, and what they alone forbid."""
    return score_modules([module], [loaded], [policy])[0]


def score_modules(
    modules: Sequence[LoraModule],
    loaded: Sequence[LoadedModule | LoadedSpectrum],
    policies: Sequence[Policy],
) -> list[Scored]:
    """The same for one module of several adapters, which all have the one V, or do without it."""
    prepared = [
        _well_conditioned(module, one.tensors.u.device)
        for module, one in zip(modules, loaded, strict=True)
    ]
    products = _products([p[0] for p in prepared], [one.tensors for one in loaded])
    each = zip(modules, loaded, policies, prepared, products, strict=True)
    return [_scored(*one) for one in each]


def _products(
    updates: Sequence[Update], alignments: Sequence[ModuleSpectrum]
) -> list[ThinProducts | None]:
    with_v = [(n, a) for n, a in enumerate(alignments) if isinstance(a, ModuleAlignment)]
    products: list[ThinProducts | None] = [None] * len(updates)
    if with_v:
        v, norm = with_v[0][1].v, with_v[0][1].norm
        made = products_of_all(v, [updates[n] for n, _ in with_v], norm)
        for (n, _), one in zip(with_v, made, strict=True):
            products[n] = one
    return products


def _scored(
    module: LoraModule,
    loaded: LoadedModule | LoadedSpectrum,
    policy: Policy,
    prepared: tuple[Update, float, bool, list[Finding]],
    products: ThinProducts | None,
) -> Scored:
    update, norm, refactored, findings = prepared
    alignment = loaded.tensors
    scores = score_update(update, alignment, products, norm=norm, scaling=module.scaling)
    findings += _limits(module, scores, policy, norm, alignment.norm)
    return Scored(module, update, norm, products, scores, refactored, tuple(findings))


def project_module(scored: Scored, loaded: LoadedModule | LoadedSpectrum, policy: Policy) -> Judged:
    """What the policy's method and strength make of a scored module, chosen or not."""
    k = needed_rank(loaded.entry, policy)
    projected = apply_method(scored.update, loaded.tensors, scored.products, policy, k)
    findings = scored.findings
    if policy.method == "subspace" and k == loaded.entry.out_features:
        identity = finding("projection_is_identity", "module", scored.module.path)
        findings = (*findings, identity)
    return Judged(
        module=scored.module,
        baseline=loaded.tensors.baseline,
        alignment_norm=loaded.tensors.norm,
        scores=scored.scores,
        norm=scored.norm,
        directions=k or None,
        projected=projected,
        projected_norm=product_norm(projected),
        refactored=scored.update if scored.refactored else None,
        findings=findings,
    )


def _well_conditioned(
    module: LoraModule, device: torch.device
) -> tuple[Update, float, bool, list[Finding]]:
    """The update, refactored in float64 where its factors cancel or do not bear 16 bits, or found
    beyond repair.

    A refactored update is also what is written, chosen or not: the uploaded factors would give
    another product in every other precision, which is a way round the projection.
    """
    update = module.update.to(device)
    norm = product_norm(update)
    factor = conditioning(update, norm)
    if factor <= REFACTOR_ABOVE and survives_sixteen_bits(update, norm):
        return update, norm, False, []
    update = balanced(update)
    factor = conditioning(update, product_norm(update))
    refactored = compress(update, update.rank)
    norm = product_norm(refactored)
    if HOPELESS_ABOVE < factor < math.inf or 0.0 < norm < SMALLEST:
        detail = f"‖B‖·‖A‖ is {factor:.1e} times ‖B·A‖, which is {norm:.1e}"
        return update, norm, True, [finding("ill_conditioned", "module", module.path, detail)]
    return refactored, norm, True, [finding("refactored", "module", module.path)]


def grown_over_cap(judged: Judged, policy: Policy) -> list[Finding]:
    """A refusal if projecting makes the update larger than the cap: σ²/‖V‖_F may exceed 1."""
    ratio, retained = judged.served_ratio, judged.retained
    if ratio is None or retained is None or ratio * retained <= policy.caps.update_ratio:
        return []
    detail = f"{ratio * retained:.3g} once projected, cap {policy.caps.update_ratio}"
    return [finding("update_ratio_over_cap", "module", judged.module.path, detail)]


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
