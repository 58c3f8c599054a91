"""A job as callers see it, from what the store and, while it runs, Redis say."""

import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from app.services import Services
from core.errors import NotFound, QueueError
from core.findings import Finding
from core.job_links import job_links
from core.jobs import JOB_ID_PATTERN, JobFailure, JobRequest, JobResult, JobState, Progress
from core.policy import Policy
from core.report import Summary, Verdict

_log = logging.getLogger(__name__)


def moment(ms: int) -> str:
    """A moment in milliseconds since 1970, as all times are written."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class JobAlignment(View):
    """The name asked for, and the alignment it stood for when the job was accepted."""

    name: str
    id: str


class JobInput(View):
    """`sha256` is known for uploads; a source is hashed when it is read."""

    name: str
    size: int
    sha256: str | None


class ProgressView(View):
    """The stage a worker is in, and modules done of all where that is known."""

    stage: str
    done: int
    total: int


class JobView(View):
    """A job. `verdict`, `summary` and `findings` come with the result, `progress` before it.

    `findings` are the first of each kind; the report has all `findings_total`. `below_floor`: the
    policy's fields that are weaker than the alignment's floor was, for a key with the scope
    `policy:override`. `retry_of`: the job that this one does again.
    """

    id: str
    state: JobState
    verdict: Verdict | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    alignment: JobAlignment
    policy: Policy
    below_floor: list[str]
    source: str
    input: list[JobInput]
    summary: Summary | None
    findings: list[Finding]
    findings_total: int
    error: JobFailure | None
    progress: ProgressView | None
    timings: dict[str, float]
    from_earlier_result: bool
    metadata: dict[str, str]
    destination: str | None
    callback_url: str | None
    retry_of: str | None
    links: dict[str, str]


class JobList(View):
    """One page, newest first; `next_cursor` asks for the next, and is null at the end."""

    jobs: list[JobView]
    next_cursor: str | None


@dataclass(frozen=True)
class Snapshot:
    """A job at one moment."""

    request: JobRequest
    result: JobResult | None
    progress: Progress | None

    @property
    def state(self) -> JobState:
        if self.result is not None:
            return self.result.state
        return JobState.QUEUED if self.progress is None else JobState.RUNNING


def find_job(services: Services, tenant: str, job_id: str) -> JobRequest:
    """Raises `NotFound` for another tenant's job too: nobody learns that it exists."""
    request = services.records.request(tenant, job_id) if _is_id(job_id) else None
    if request is None:
        raise NotFound("there is no such job: see /v1/jobs", code="job_not_found")
    return request


def snapshot(services: Services, request: JobRequest) -> Snapshot:
    """The store has the last word; without Redis a running job is shown as queued."""
    result = services.records.result(request.tenant, request.id)
    return Snapshot(request, result, None if result else _progress(services, request.id))


def just_accepted(services: Services, request: JobRequest) -> Snapshot:
    """A new job: it has its result already, or waits."""
    return Snapshot(request, services.records.result(request.tenant, request.id), None)


def job_view(seen: Snapshot) -> JobView:
    request, result, progress = seen.request, seen.result, seen.progress
    commit = result.commit if result else None
    set_aside = result.findings if result else []
    started = result.started_at if result else progress.started_at if progress else None
    return JobView(
        id=request.id,
        state=seen.state,
        verdict=commit.verdict if commit else None,
        created_at=request.created_at,
        started_at=started,
        finished_at=result.finished_at if result else None,
        alignment=JobAlignment(name=request.alignment.name, id=request.alignment.id),
        policy=request.policy,
        below_floor=request.below_floor,
        source=request.source,
        input=[JobInput(name=f.name, size=f.size, sha256=f.sha256) for f in request.files],
        summary=commit.summary if commit else None,
        findings=commit.findings if commit else set_aside,
        findings_total=commit.findings_total if commit else len(set_aside),
        error=result.error if result else None,
        progress=progress_view(progress),
        timings=result.timings if result else {},
        from_earlier_result=result.from_earlier_result if result else False,
        metadata=request.metadata,
        destination=request.destination,
        callback_url=request.callback_url,
        retry_of=request.retry_of,
        links=job_links(request.id, commit),
    )


def mark_accepted(response: Response, seen: Snapshot) -> None:
    """Where the job is to be seen, and when to look; 200 if there is nothing to wait for."""
    response.headers["Location"] = f"/v1/jobs/{seen.request.id}"
    if seen.state.final:
        response.status_code = 200
    else:
        response.headers["Retry-After"] = "1"


def progress_of(services: Services, queue_id: str) -> ProgressView | None:
    """Where a worker is with it; None also where that cannot be known."""
    return progress_view(_progress(services, queue_id))


def _progress(services: Services, queue_id: str) -> Progress | None:
    try:
        return services.queue.progress(queue_id)
    except QueueError as error:
        _log.debug("the progress of %s is unknown: %s", queue_id, error)
        return None


def progress_view(progress: Progress | None) -> ProgressView | None:
    if progress is None:
        return None
    return ProgressView(stage=progress.stage, done=progress.done, total=progress.total)


def _is_id(text: str) -> bool:
    return re.fullmatch(JOB_ID_PATTERN, text) is not None
