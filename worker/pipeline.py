"""The story of one job: an adapter comes in, is judged, projected, written and verified."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.errors import AdapterRejected
from core.findings import refusals
from core.handling import under_policy
from core.policy import Policy
from core.report import InputFacts, OutputFacts, Report
from core.selection import Choice, select
from worker.adapter import AdapterFiles, examine, load_adapter
from worker.adapter.files import file_facts
from worker.adapter.model import LoraModule
from worker.adapter.verify import verify_written
from worker.adapter.write import Written, as_uploaded, cast_for_output, write_adapter
from worker.alignment.parallel import in_parallel, usual_workers
from worker.alignment.source import AlignmentSource
from worker.judge import Judged, grown_over_cap, project_module, score_module
from worker.memory import Turns, with_room
from worker.reporting import output_facts, policy_notes, provenance, rows, summary, verdict
from worker.suspicion import signs_of_attack
from worker.tracking import Tracker


@dataclass(frozen=True)
class BaseNames:
    """What the operator calls the base model: `written` goes into the output's config, an upload
    that names none of `known` gets a note."""

    written: str | None = None
    known: tuple[str, ...] = ()


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
    with tracker.stage("check"):
        examined = examine(files, alignment, policy, base_names.known)
    with tracker.stage("read"):
        adapter = load_adapter(examined)

    judged = _judged(adapter.modules, alignment, policy, tracker)
    signs = signs_of_attack(judged)
    own = [*(f for j in judged for f in j.findings), *(s.finding for s in signs)]
    findings = [*adapter.findings, *under_policy(own, policy), *policy_notes(policy)]
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
        total = len(judged)
        tracker.step("write", total, total)
        with tracker.stage("write"):
            origin = provenance(adapter, alignment, policy)
            write_adapter(
                output,
                adapter,
                written,
                alignment,
                base_name=base_names.written,
                provenance=origin,
            )
        tracker.step("verify", total, total)
        with tracker.stage("verify"):
            published = _verified(output, written)

    return Report(
        verdict=verdict(policy, choices),
        summary=summary(judged, choices, findings),
        modules=rows(judged, choices, written),
        findings=findings,
        alignment=alignment.facts(),
        policy=policy,
        input=InputFacts(files=list(adapter.files), base_model_name_or_path=adapter.base_name),
        output=published,
    )


def _judged(
    modules: Sequence[LoraModule], alignment: AlignmentSource, policy: Policy, tracker: Tracker
) -> list[Judged]:
    """Every module, several at once: while one is read and hashed another is multiplied."""
    total = len(modules)
    workers = min(usual_workers(), total)
    turns = Turns(workers)

    def judge(module: LoraModule, _desk: int) -> Judged:
        work = partial(_judge, module, alignment, policy, tracker, workers)
        return with_room(alignment, turns, work)

    judged: dict[str, Judged] = {}

    def step() -> None:
        tracker.step("score", len(judged), total)

    step()
    made = in_parallel(judge, modules, range(workers), waiting=step, abandon=lambda: None)
    with closing(made):
        for one in made:
            judged[one.module.path] = one
            step()
    return [judged[module.path] for module in modules]


def _judge(
    module: LoraModule,
    alignment: AlignmentSource,
    policy: Policy,
    tracker: Tracker,
    at_once: int,
) -> Judged:
    with tracker.stage("align", at_once=at_once):
        name = module.alignment_name
        loaded = alignment.module(name) if policy.loads_v else alignment.spectrum(name)
    with tracker.stage("score", at_once=at_once):
        scored = score_module(module, loaded, policy)
    with tracker.stage("project", at_once=at_once):
        return project_module(scored, loaded, policy)


def _verified(output: Path, written: Sequence[Written]) -> OutputFacts:
    """What was written, compared and hashed at the same time."""
    with ThreadPoolExecutor(1) as pool:
        files = pool.submit(lambda: [file_facts(path) for path in sorted(output.iterdir())])
        verified = verify_written(output, written)
    return output_facts(files.result(), written, verified)


def _outcome(judged: Judged, choice: Choice, policy: Policy) -> Written:
    """What goes out for one module: projected, refactored, or bit for bit what came in."""
    if choice.projected and policy.strength > 0.0:
        return cast_for_output(judged.module, judged.projected, judged.projected_norm)
    if judged.refactored is not None:
        return cast_for_output(judged.module, judged.refactored, judged.norm)
    return as_uploaded(judged.module)
