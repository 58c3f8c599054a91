"""The story of one run: sanitize what is missing, ask what is missing, judge, report."""

import logging
from collections.abc import Sequence
from pathlib import Path

from benchmarks.any_pair.answering import Answering
from benchmarks.any_pair.cases import Case, all_cases
from benchmarks.any_pair.outcomes import outcome
from benchmarks.any_pair.plan import Plan, Questions
from benchmarks.any_pair.report import write_report
from benchmarks.any_pair.sanitizing import sanitize_missing
from core.findings import RULES, refusals
from core.report import Report
from core.store.layout import ADAPTER_MODEL

logger = logging.getLogger(__name__)

OF_THE_UPDATE = ("update", "signs")  # groups of findings on an adapter that is read in full


def run(plan: Plan) -> None:
    """Whatever is there already is taken as it is. Raises `GateError`."""
    cases = all_cases(plan)
    sanitize_missing(cases, plan)
    ask_missing(cases, plan)
    outcomes = [outcome(case, plan) for case in cases]
    write_report(outcomes, plan)


def ask_missing(cases: Sequence[Case], plan: Plan) -> None:
    """The model is loaded only if there is something to ask."""
    missing = [
        (case, missing)
        for case in cases
        if can_be_asked(case, cases)
        and (missing := [one for one in plan.sets if case.answers(one) is None])
    ]
    if not missing:
        return
    answering = Answering(plan.aligned, plan.batch)
    for done, (case, questions) in enumerate(missing):
        logger.info("%d of %d: %s %s", done + 1, len(missing), case.adapter, case.setting)
        _ask(case, questions, answering)


def _ask(case: Case, missing: Sequence[Questions], answering: Answering) -> None:
    with answering.adapted(_served(case)):
        for questions in missing:
            case.keep_answers(questions, answering.answers(questions))


def _served(case: Case) -> Path | None:
    return case.upload if case.policy is None else case.sanitized


def can_be_asked(case: Case, cases: Sequence[Case]) -> bool:
    """False for what the product rejected; and, as it came, for an adapter whose files it did not
    understand under any policy: these are not loaded by anything else either."""
    if case.upload is None:
        return True
    if case.policy is not None:
        return case.report is not None and case.report.verdict != "rejected"
    own = (other.report for other in cases if other.adapter == case.adapter)
    understood = any(report is not None and _is_understood(report) for report in own)
    return understood and (case.upload / ADAPTER_MODEL).is_file()


def _is_understood(report: Report) -> bool:
    return all(RULES[f.code].group in OF_THE_UPDATE for f in refusals(report.findings))
