"""Every adapter under every policy, through the product's own engine."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.any_pair.alignment import energy_recipe, needs_energy, stored_alignment
from benchmarks.any_pair.cases import Case
from benchmarks.any_pair.plan import Plan
from benchmarks.efficacy.making import device
from core.alignments import DEFAULT_RANK
from core.errors import AdapterRejected
from core.policy import Policy
from core.report import Report
from core.store.layout import REPORT_JSON
from worker.adapter import AdapterFiles, examine
from worker.alignment.make import Recipe
from worker.alignment.pair import Pair
from worker.alignment.source import AlignmentSource, PairAlignment
from worker.alignment.tiers.lock import locked
from worker.pipeline import BaseNames, sanitize
from worker.reporting import rejection_report
from worker.tracking import Tracker

logger = logging.getLogger(__name__)


def sanitize_missing(cases: Sequence[Case], plan: Plan) -> None:
    """What has not been sanitized yet; another run in the same folder is waited for.

    What the product rejects is kept as such. Raises `AlignmentError` for an unusable pair.
    """
    plan.output.mkdir(parents=True, exist_ok=True)
    with locked(plan.output / ".sanitizing"):
        asked = {case: case.policy for case in cases if case.policy is not None}
        if all(case.report is not None for case in asked):
            return
        modules = _modules(asked, plan)
        _by_rank({case: p for case, p in asked.items() if not needs_energy(p)}, modules, plan)
        _by_energy({case: p for case, p in asked.items() if needs_energy(p)}, modules, plan)


def _modules(asked: Mapping[Case, Policy], plan: Plan) -> dict[Case, set[str]]:
    """What each case's adapter adapts, by the alignment's names. What is refused already is kept
    as rejected, and left out."""
    found = {}
    with Pair(plan.base, plan.aligned) as pair:
        for case, policy in asked.items():
            alignment = PairAlignment(pair, Recipe("float32", DEFAULT_RANK), device())
            try:
                found[case] = _adapted(_files(case), alignment, policy)
            except AdapterRejected as rejected:
                _keep_rejected(case, policy, rejected, alignment)
    return found


def _adapted(files: AdapterFiles, alignment: PairAlignment, policy: Policy) -> set[str]:
    """With the modules of which it brings the model's own weight, to be known as a copy again."""
    examined = examine(files, alignment, policy, ())
    copies = [f.subject for f in examined.findings if f.code == "base_copy_dropped"]
    copied = (n for n in alignment.shapes if any(c.endswith(f"{n}.weight") for c in copies))
    return {*examined.resolved.values(), *copied}


def _by_rank(asked: Mapping[Case, Policy], modules: Mapping[Case, set[str]], plan: Plan) -> None:
    understood = {case: policy for case, policy in asked.items() if case in modules}
    if all(case.report is not None for case in understood):
        return
    names = set().union(*(modules[case] for case in understood))
    alignment = stored_alignment(plan, names, [*asked.values()])
    for case, policy in understood.items():
        _sanitize(case, policy, alignment)


def _by_energy(asked: Mapping[Case, Policy], modules: Mapping[Case, set[str]], plan: Plan) -> None:
    """From the checkpoints themselves, each time anew."""
    for case, policy in asked.items():
        if case in modules:
            with Pair(plan.base, plan.aligned, modules=sorted(modules[case])) as pair:
                _sanitize(case, policy, PairAlignment(pair, energy_recipe(policy), device()))


def _sanitize(case: Case, policy: Policy, alignment: AlignmentSource) -> None:
    if case.report is not None:
        return
    logger.info("%s: sanitizing it, %s", case.adapter, case.setting)
    case.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=case.folder, prefix=".making-") as scratch:
        made = Path(scratch) / "sanitized"
        made.mkdir()
        try:
            report = sanitize(
                _files(case), alignment, policy, made, base_names=BaseNames(), tracker=Tracker()
            )
        except AdapterRejected as rejected:
            _keep_rejected(case, policy, rejected, alignment)
            return
        _keep(case, made, report)


def _keep_rejected(
    case: Case, policy: Policy, rejected: AdapterRejected, alignment: AlignmentSource
) -> None:
    """The report alone: what may lie half written elsewhere is nothing to load."""
    if case.report is not None:
        return
    logger.info("%s: %s, %s", case.adapter, rejected.message, case.setting)
    case.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=case.folder, prefix=".making-") as scratch:
        made = Path(scratch) / "sanitized"
        made.mkdir()
        _keep(case, made, rejection_report(rejected, policy, _files(case), alignment))


def _keep(case: Case, made: Path, report: Report) -> None:
    (made / REPORT_JSON).write_bytes(report.as_bytes())
    made.rename(case.sanitized)


def _files(case: Case) -> AdapterFiles:
    """The adapter's own files: what else lies in the folder is neither read nor held against it."""
    if case.upload is None:
        raise ValueError(f"{case.setting} has no adapter")
    return AdapterFiles(case.upload)
