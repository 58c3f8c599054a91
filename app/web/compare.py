"""Two runs side by side."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from app.access.callers import Caller
from app.listing import jobs_page
from app.services import Served, Services
from app.views import JobView, find_job, job_view, snapshot
from app.web.pages import page
from app.web.results import Shown, shown_report
from app.web.routing import WithJobs, page_router
from core.canonical import Json
from core.report import ModuleRow, Report

_RECENT = 40  # jobs that are offered to compare with

router = page_router()


@dataclass(frozen=True)
class Run:
    job: JobView
    shown: Shown


@dataclass(frozen=True)
class Setting:
    name: str
    first: str
    second: str


@dataclass(frozen=True)
class Pair:
    """One module in both runs; None where a run does not have it."""

    name: str
    first: ModuleRow | None
    second: ModuleRow | None

    @property
    def cosines_differ(self) -> bool:
        one, two = (None if row is None else row.cosine for row in (self.first, self.second))
        return _rounded(one) != _rounded(two)

    @property
    def choices_differ(self) -> bool:
        one, two = (None if row is None else row.projected for row in (self.first, self.second))
        return one != two

    @property
    def first_left(self) -> float | None:
        return _left(self.first)

    @property
    def second_left(self) -> float | None:
        return _left(self.second)

    @property
    def left_differs(self) -> bool:
        return _rounded(self.first_left) != _rounded(self.second_left)

    @property
    def differs(self) -> bool:
        return self.cosines_differ or self.choices_differ or self.left_differs


@router.get("/jobs/{job_id}/compare")
def compare(
    request: Request,
    services: Served,
    caller: WithJobs,
    job_id: str,
    other_id: Annotated[str, Query(alias="with")] = "",
) -> Response:
    first = _run(services, caller, job_id)
    second = _run(services, caller, other_id) if other_id else None
    return page(
        request,
        "compare.html",
        first=first,
        second=second,
        others=_others(services, caller, first.job),
        settings=[] if second is None else differing_settings(first.job, second.job),
        pairs=[] if second is None else pairs(first.shown.report, second.shown.report),
    )


def differing_settings(first: JobView, second: JobView) -> list[Setting]:
    """What was asked for otherwise: field by field, as JSON has them."""
    one, two = dict(_settings(first)), dict(_settings(second))
    return [
        Setting(name, one.get(name, "–"), two.get(name, "–"))
        for name in dict.fromkeys([*one, *two])
        if one.get(name) != two.get(name)
    ]


def pairs(first: Report | None, second: Report | None) -> list[Pair]:
    """Every module of either, in the order of the first; none unless both have a report."""
    if first is None or second is None:
        return []
    one, two = _by_name(first), _by_name(second)
    return [Pair(name, one.get(name), two.get(name)) for name in dict.fromkeys([*one, *two])]


def _run(services: Services, caller: Caller, job_id: str) -> Run:
    seen = snapshot(services, find_job(services, caller.tenant, job_id))
    return Run(job_view(seen), shown_report(services, caller, seen.result))


def _others(services: Services, caller: Caller, job: JobView) -> list[tuple[JobView, bool]]:
    """Recent jobs with a report, each with whether its input is this one's; such come first."""
    recent = jobs_page(services, caller.tenant, limit=_RECENT).jobs
    others = [other for other in recent if other.verdict is not None and other.id != job.id]
    marked = [(other, _has_same_input(job, other)) for other in others]
    return sorted(marked, key=lambda each: not each[1])


def _has_same_input(job: JobView, other: JobView) -> bool:
    digests = {file.sha256 for file in job.input}
    return None not in digests and digests == {file.sha256 for file in other.input}


def _settings(job: JobView) -> Iterator[tuple[str, str]]:
    yield "alignment", job.alignment.name
    yield "alignment id", job.alignment.id
    yield from _flat("policy", job.policy.as_json())
    for file in job.input:
        yield f"input {file.name}", file.sha256 or f"{file.size} bytes from {job.source}"


def _flat(name: str, value: Json) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    else:
        yield name, str(value) if not isinstance(value, bool) else str(value).lower()


def _by_name(report: Report) -> dict[str, ModuleRow]:
    return {row.name: row for row in report.modules}


def _left(row: ModuleRow | None) -> float | None:
    """The share of the update's norm that is left of what was uploaded; None of no update."""
    if row is None or row.retained is None:
        return None
    return row.retained if row.projected else 1.0


def _rounded(value: float | None) -> float | None:
    """As it is shown."""
    return None if value is None else round(value, 4)
