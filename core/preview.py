"""What another selection would choose of an adapter that was scored, without running it again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.alignments import Manifest
from core.findings import shown
from core.module_names import spellings
from core.policy import Policy
from core.report import ModuleRow, Report, Summary, Verdict, verdict
from core.selection import Choice, Score, select


@dataclass(frozen=True)
class Preview:
    """`choices` in the order of the report's modules. The run itself may still refuse what this
    cannot see: an update that projecting makes larger than the cap."""

    verdict: Verdict
    summary: Summary
    choices: tuple[Choice, ...]


def preview(report: Report, policy: Policy, manifest: Manifest) -> Preview:
    """What the report would say under `policy`, which differs from its own in `selection` alone.

    `manifest`: that of the report's alignment. Norms are taken from `update_ratio`, so `retained`
    agrees with a run's up to rounding; all else is equal.
    """
    names = _alignment_names(report.modules, manifest)
    chosen = select(
        [
            Score(name, row.cosine, row.baseline, zero_update=row.reason == "zero_update")
            for name, row in zip(names, report.modules, strict=True)
        ],
        policy.selection,
        reference=policy.reference,
        suspects=_suspects(report, names) if policy.suspicious == "project" else (),
    )
    choices = tuple(chosen[name] for name in names)
    norms = {module.name: module.aligned_norm for module in manifest.modules}
    sizes = [
        (row.update_ratio or 0.0) * norms[name]
        for name, row in zip(names, report.modules, strict=True)
    ]
    summary = report.summary.model_copy(
        update={
            "projected": sum(choice.projected for choice in choices),
            "borderline": sum(choice.borderline for choice in choices),
            "retained": _retained(report.modules, choices, sizes),
        }
    )
    return Preview(verdict(policy, choices), summary, choices)


def _alignment_names(modules: Sequence[ModuleRow], manifest: Manifest) -> list[str]:
    """What the alignment calls them: a family's cut, and ties, go by those names."""
    known = {module.name for module in manifest.modules}
    return [next(name for name in spellings(row.name) if name in known) for row in modules]


def _suspects(report: Report, names: Sequence[str]) -> set[str]:
    signs = {found.subject for found in report.findings if found.severity == "suspicious"}
    named = zip(names, report.modules, strict=True)
    return {name for name, row in named if shown(row.name) in signs}


def _retained(
    modules: Sequence[ModuleRow], choices: Sequence[Choice], sizes: Sequence[float]
) -> float | None:
    """Norm of the whole update after over before."""
    before = math.fsum(size**2 for size in sizes)
    after = math.fsum(
        (size * (row.retained or 0.0 if choice.projected else 1.0)) ** 2
        for row, choice, size in zip(modules, choices, sizes, strict=True)
    )
    return math.sqrt(after / before) if before else None
