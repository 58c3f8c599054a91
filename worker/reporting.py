"""What the pipeline found and did, in the words of the report."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from core.canonical import digest
from core.errors import AdapterRejected
from core.findings import Finding, finding
from core.policy import Policy
from core.report import (
    ENGINE_VERSION,
    FileFacts,
    InputFacts,
    ModuleRow,
    OutputFacts,
    Report,
    Summary,
)
from core.selection import Choice
from worker.adapter import Adapter, AdapterFiles
from worker.adapter.files import file_facts
from worker.adapter.write import Written
from worker.alignment.source import AlignmentSource
from worker.judge import Judged


def rejection_report(
    rejected: AdapterRejected, policy: Policy, files: AdapterFiles, alignment: AlignmentSource
) -> Report:
    """The report of an adapter that was not let in: its findings, and nothing written."""
    return Report(
        verdict="rejected",
        findings=list(rejected.findings),
        alignment=alignment.facts(),
        policy=policy,
        input=InputFacts(files=[file_facts(path) for path in files.present]),
    )


def provenance(adapter: Adapter, alignment: AlignmentSource, policy: Policy) -> Mapping[str, str]:
    """What the output was made of, for its metadata: digests only, no job, no time, no path.

    `input`: SHA-256 of the canonical JSON that maps each input file's name to its SHA-256.
    """
    return {
        "safelora_gate.input": digest({file.name: file.sha256 for file in adapter.files}),
        "safelora_gate.alignment": alignment.facts().id,
        "safelora_gate.policy": digest(policy.as_json()),
        "safelora_gate.engine": ENGINE_VERSION,
    }


def policy_notes(policy: Policy, below_floor: Sequence[str]) -> Iterator[Finding]:
    """What whoever reads the report should know of the policy: once, not in every row."""
    if below_floor:
        yield finding("below_floor", "field", "policy", ", ".join(below_floor))
    if not policy.loads_v:
        yield finding("scored_without_v", "field", "policy.scores")


def rows(
    judged: Sequence[Judged], choices: Mapping[str, Choice], written: Sequence[Written]
) -> list[ModuleRow]:
    """One row a module, in the adapter's order."""
    return [
        _row(j, choices[j.module.alignment_name], w) for j, w in zip(judged, written, strict=True)
    ]


def _row(judged: Judged, choice: Choice, written: Written) -> ModuleRow:
    module, scores = judged.module, judged.scores
    return ModuleRow(
        name=module.path,
        layer=module.layer,
        family=module.family,
        rank=module.rank,
        scaling=module.scaling,
        out_features=int(module.b.shape[0]),
        in_features=int(module.a.shape[1]),
        cosine=scores.cosine,
        baseline=judged.baseline,
        signed=scores.signed,
        undo=scores.undo,
        energy=scores.energy,
        input_energy=scores.input_energy,
        directions=judged.directions,
        purity=scores.purity,
        confined=scores.confined,
        retained=judged.retained,
        update_ratio=scores.update_ratio,
        projected=choice.projected,
        borderline=choice.borderline,
        reason=choice.reason,
        refactored=judged.refactored is not None,
        widened=written.widened,
    )


def summary(
    judged: Sequence[Judged], choices: Mapping[str, Choice], findings: Sequence[Finding]
) -> Summary:
    cosines = [j.scores.cosine for j in judged if j.scores.cosine is not None]
    before = sum((j.module.scaling * j.norm) ** 2 for j in judged)
    after = sum(
        (
            j.module.scaling
            * (j.projected_norm if choices[j.module.alignment_name].projected else j.norm)
        )
        ** 2
        for j in judged
    )
    return Summary(
        modules=len(judged),
        projected=sum(c.projected for c in choices.values()),
        borderline=sum(c.borderline for c in choices.values()),
        zero_updates=sum(j.norm == 0.0 for j in judged),
        stripped=sum(f.outcome == "stripped" for f in findings),
        suspicious=sum(f.severity == "suspicious" for f in findings),
        retained=(after / before) ** 0.5 if before else None,
        cosine_min=min(cosines, default=None),
        cosine_median=statistics.median(cosines) if cosines else None,
        cosine_max=max(cosines, default=None),
    )


def output_facts(
    files: Sequence[FileFacts], written: Sequence[Written], verified: int
) -> OutputFacts:
    return OutputFacts(
        files=list(files),
        widened=[w.module.path for w in written if w.widened],
        verified=verified,
    )
