"""The story of one job: an adapter comes in, is judged, projected, written and verified."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from core.errors import AdapterRejected
from core.findings import refusals
from core.handling import under_policy
from core.policy import Policy
from core.report import InputFacts, OutputFacts, Report, verdict
from core.selection import Choice, select
from worker.adapter import Adapter, AdapterFiles, examine, load_adapter
from worker.adapter.files import file_facts
from worker.adapter.verify import verify_written
from worker.adapter.write import Written, as_uploaded, cast_for_output, write_adapter
from worker.alignment.source import AlignmentSource
from worker.judge import Judged, grown_over_cap
from worker.judging import Case, judge_one
from worker.reporting import output_facts, policy_notes, provenance, rows, summary
from worker.suspicion import signs_of_attack
from worker.tracking import Tracker


@dataclass(frozen=True)
class BaseNames:
    """What the operator calls the base model: `written` goes into the output's config, an upload
    that names none of `known` gets a note."""

    written: str | None = None
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """An upload, what is to become of it, and the empty folder where that is written.

    `below_floor`: the policy's fields that are weaker than the floor it was held against."""

    files: AdapterFiles
    policy: Policy
    output: Path
    base_names: BaseNames
    below_floor: tuple[str, ...] = ()


def sanitize(
    files: AdapterFiles,
    alignment: AlignmentSource,
    policy: Policy,
    output: Path,
    *,
    base_names: BaseNames,
    tracker: Tracker,
) -> Report:
    """Project the adapter in `files` and write it into the folder `output`; returns its report.

    Nothing is written for a policy that only scores. Raises `AdapterRejected` with every finding;
    any other error is ours. On any error what lies in `output` must not be published.
    """
    order = Order(files, policy, output, base_names)
    adapter = read(order, alignment, tracker)
    judged = judge_one(Case(adapter.modules, policy), alignment, tracker)
    return conclude(order, adapter, judged, alignment, tracker)


def read(order: Order, alignment: AlignmentSource, tracker: Tracker) -> Adapter:
    """The upload, checked in full and read. Raises `AdapterRejected`."""
    with tracker.stage("check"):
        examined = examine(order.files, alignment, order.policy, order.base_names.known)
    with tracker.stage("read"):
        return load_adapter(examined)


def conclude(
    order: Order,
    adapter: Adapter,
    judged: Sequence[Judged],
    alignment: AlignmentSource,
    tracker: Tracker,
) -> Report:
    """From all its modules judged to what is written and verified. Raises `AdapterRejected`."""
    policy, total = order.policy, len(judged)
    signs = signs_of_attack(judged)
    own = [*(f for j in judged for f in j.findings), *(s.finding for s in signs)]
    notes = policy_notes(policy, order.below_floor)
    findings = [*adapter.findings, *under_policy(own, policy), *notes]
    if refusals(findings):
        raise AdapterRejected(findings)

    choices = select(
        [j.score for j in judged],
        policy.selection,
        reference=policy.reference,
        suspects={s.module for s in signs} if policy.suspicious == "project" else (),
    )

    grown = [
        f
        for j in judged
        if choices[j.module.alignment_name].projected
        for f in grown_over_cap(j, policy)
    ]
    if grown:
        raise AdapterRejected([*findings, *grown])

    written = [_outcome(j, choices[j.module.alignment_name], policy) for j in judged]
    published = None
    if policy.publishes:
        tracker.step("write", total, total)
        with tracker.stage("write"):
            origin = provenance(adapter, alignment, policy)
            write_adapter(
                order.output,
                adapter,
                written,
                alignment,
                base_name=order.base_names.written,
                provenance=origin,
            )
        tracker.step("verify", total, total)
        with tracker.stage("verify"):
            published = _verified(order.output, written)

    return Report(
        verdict=verdict(policy, choices.values()),
        summary=summary(judged, choices, findings),
        modules=rows(judged, choices, written),
        findings=findings,
        alignment=alignment.facts(),
        policy=policy,
        input=InputFacts(files=list(adapter.files), base_model_name_or_path=adapter.base_name),
        output=published,
    )


def _verified(output: Path, written: Sequence[Written]) -> OutputFacts:
    """What was written, compared and hashed at the same time."""
    paths = sorted(output.iterdir())
    with ThreadPoolExecutor(1) as pool:
        files = pool.map(file_facts, paths)  # begins at once
        verified = verify_written(output, written)
    return output_facts(list(files), written, verified)


def _outcome(judged: Judged, choice: Choice, policy: Policy) -> Written:
    """What goes out for one module: projected, refactored, or bit for bit what came in."""
    if choice.projected and policy.strength > 0.0:
        return cast_for_output(judged.module, judged.projected, judged.projected_norm)
    if judged.refactored is not None:
        return cast_for_output(judged.module, judged.refactored, judged.norm)
    return as_uploaded(judged.module)
