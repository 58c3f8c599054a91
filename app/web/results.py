"""The report of a job as a page shows it."""

import logging
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from app.access.callers import Caller
from app.api.results import result_file
from app.services import Services
from core.errors import Gone
from core.jobs import JobResult
from core.report import Report
from core.store import layout

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shown:
    """A report, or why there is none; both None where the job left none."""

    report: Report | None = None
    lacking: Literal["expired", "other_version"] | None = None


def shown_report(services: Services, caller: Caller, result: JobResult | None) -> Shown:
    """Raises `StoreError`."""
    if result is None or result.commit is None:
        return Shown()
    try:
        content = result_file(services, caller, result.commit, layout.REPORT_JSON)
        return Shown(Report.model_validate_json(content))
    except Gone:
        return Shown(lacking="expired")
    except ValidationError as error:
        _log.warning("a report is not of this version: %s problems", error.error_count())
        return Shown(lacking="other_version")
