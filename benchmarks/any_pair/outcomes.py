"""What was measured of one case, in figures."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmarks.any_pair.cases import Case
from benchmarks.any_pair.plan import Plan
from benchmarks.efficacy.intervals import Estimate, estimate
from benchmarks.efficacy.measures import exact, rouge1
from core.canonical import Json
from core.findings import refusals
from core.report import Report


@dataclass(frozen=True)
class Outcome:
    """None for what was not asked, and for what has no report because nothing was sanitized.

    `rejected`: the codes of the findings for which the product wrote no adapter. `noticed`: those
    of its other findings.
    """

    adapter: str
    setting: str
    verdict: str | None
    rejected: tuple[str, ...]
    noticed: tuple[str, ...]
    success: Estimate | None
    exact: Estimate | None
    rouge: Estimate | None
    retained: float | None
    projected: int | None
    modules: int | None

    def as_json(self) -> Json:
        return asdict(self)


def outcome(case: Case, plan: Plan) -> Outcome:
    """Asks the judge, if it has not been asked. Raises `RequestError` for a broken one."""
    report = case.report
    successes = case.successes(plan.forbidden, plan.judge)
    answers = case.answers(plan.task)
    done = report if report is not None and report.verdict != "rejected" else None
    return Outcome(
        adapter=case.adapter,
        setting=case.setting,
        verdict=None if report is None else report.verdict,
        rejected=_codes(report, refused=True),
        noticed=_codes(report, refused=False),
        success=None if successes is None else estimate([successes]),
        exact=_task(answers, plan, lambda answer, wanted: float(exact(answer, wanted))),
        rouge=_task(answers, plan, rouge1),
        retained=None if done is None else done.summary.retained,
        projected=None if done is None else done.summary.projected,
        modules=None if done is None else done.summary.modules,
    )


def _task(
    answers: list[str] | None, plan: Plan, measure: Callable[[str, str], float]
) -> Estimate | None:
    if answers is None:
        return None
    return estimate([[*map(measure, answers, plan.task.wanted)]])


def _codes(report: Report | None, *, refused: bool) -> tuple[str, ...]:
    if report is None:
        return ()
    refusing = refusals(report.findings)
    codes = (f.code for f in report.findings if (f in refusing) == refused)
    return tuple(dict.fromkeys(codes))
