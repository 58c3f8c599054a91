"""The report of a job as a page shows it."""

from dataclasses import dataclass
from typing import Final, Literal

from app.access.callers import Caller
from app.outcomes import report_of
from app.services import Services
from core.errors import Conflict, Gone
from core.jobs import JobResult
from core.report import Report

MOST_SHOWN: Final = 2_000
"""Modules of a report that is made anew for each look at a page; four times a 405B model's."""


@dataclass(frozen=True)
class Shown:
    """A report, or why there is none; both None where the job left none."""

    report: Report | None = None
    lacking: Literal["expired", "outdated", "large"] | None = None


def shown_report(services: Services, caller: Caller, result: JobResult | None) -> Shown:
    """Raises `StoreError`."""
    if result is None or result.commit is None:
        return Shown()
    if result.commit.summary.modules > MOST_SHOWN:
        return Shown(lacking="large")
    try:
        return Shown(report_of(services, caller, result.commit))
    except Gone:
        return Shown(lacking="expired")
    except Conflict:
        return Shown(lacking="outdated")
