"""Jobs: post an adapter, see how it fares."""

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.access.auditing import tell_below_floor
from app.access.callers import Caller, JobsCaller
from app.bodies import read_json
from app.description.answers import AGREED, AS_A_JOB, IDEMPOTENT, JSON_BODY, SENT_AHEAD, problems
from app.description.openapi import ACCEPTED, JOB_BODY
from app.intake.accept import accept
from app.intake.arrival import Arrival, closed_at_end
from app.intake.form import receive_form
from app.intake.idempotency import IdempotencyKey
from app.intake.order import Order, order_of_form, order_of_json
from app.intake.room import check_room
from app.listing import jobs_page
from app.scratch import MakeFolder, scratch_folder
from app.services import Served, Services
from app.views import (
    JobList,
    JobView,
    Snapshot,
    find_job,
    job_view,
    just_accepted,
    mark_accepted,
    snapshot,
)
from app.waiting import awaited
from core.codes.adapters import ARCHIVES, PARTS, SOURCES
from core.errors import UnsupportedMediaType
from core.jobs import JOB_ID_PATTERN, JobRequest, JobState
from core.observing.traces import span
from core.tenant_limits import upload_limit

_MAX_JSON = 256 * 2**10

_REFUSED = problems(
    *(*JSON_BODY, "body_empty", *PARTS, *ARCHIVES, *SOURCES, *SENT_AHEAD, *IDEMPOTENT),
    *(*AGREED, "job_not_found", "input_expired", "alignment_removed"),
    *("scratch_unavailable", "too_many_uploads"),
    at=AS_A_JOB,
)

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.post(
    "",
    response_model=JobView,
    status_code=202,
    responses=ACCEPTED | _REFUSED,
    openapi_extra=JOB_BODY,
    summary="Sanitize an adapter",
)
async def post_job(
    request: Request,
    response: Response,
    services: Served,
    caller: JobsCaller,
    idempotency_key: IdempotencyKey = None,
) -> JobView:
    """Takes a LoRA adapter as files, as an archive or from S3, and queues it.

    Answers 202, or 200 where the result is there already. Weights sent as a part whose header is
    wrong are refused while they arrive (`adapter_rejected`). What else is wrong inside the
    adapter's files is no error here: the job ends as `rejected`, with findings.
    """
    await run_in_threadpool(check_room, services, caller, idempotency_key)
    arrival = Arrival(services, caller.tenant)
    async with scratch_folder(services.scratch) as folder, closed_at_end(arrival):
        with span("receive"):
            make_order = await _ordered(request, services, caller, arrival, folder)

        def accepted() -> Snapshot:
            job = accept(services, caller, make_order(), idempotency_key, folder)
            is_new = idempotency_key is None
            return just_accepted(services, job) if is_new else snapshot(services, job)

        seen = await run_in_threadpool(accepted)
    tell_below_floor(request, [seen.request])
    mark_accepted(response, seen)
    return job_view(seen)


async def _ordered(
    request: Request, services: Services, caller: Caller, arrival: Arrival, folder: MakeFolder
) -> Callable[[], Order]:
    """The body has come; what makes the order of it blocks, and raises `RequestError`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    limit = upload_limit(services.settings, caller.tenant)
    limits = services.settings.limits.model_copy(update={"upload": limit})
    if kind == "multipart/form-data":
        form = await receive_form(request, arrival, folder, limits)
        return partial(order_of_form, form, arrival, folder, limits)
    if kind == "application/json":
        return partial(order_of_json, await read_json(request, _MAX_JSON))
    raise UnsupportedMediaType("send multipart/form-data with the files, or application/json")


@router.get("", response_model=JobList, summary="Jobs, newest first")
def list_jobs(
    services: Served,
    caller: JobsCaller,
    state: JobState | None = None,
    alignment: Annotated[str | None, Query(description="the name it was posted under")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(pattern=JOB_ID_PATTERN)] = None,
) -> JobList:
    """One page. With a filter a page may hold fewer than `limit`, and still have a next one."""
    return jobs_page(
        services, caller.tenant, state=state, alignment=alignment, limit=limit, cursor=cursor
    )


@router.get(
    "/{job_id}",
    response_model=JobView,
    responses=problems("job_not_found", "too_many_streams"),
    summary="One job",
)
async def get_job(
    request: Request,
    services: Served,
    caller: JobsCaller,
    job_id: str,
    wait: Annotated[
        float, Query(ge=0, description="answer once the job has ended, or after these seconds")
    ] = 0,
) -> JobView:
    job: JobRequest | None = None

    def look() -> Snapshot:
        nonlocal job
        job = job or find_job(services, caller.tenant, job_id)
        return snapshot(services, job)

    seconds = min(wait, services.settings.limits.wait)
    is_over = attrgetter("state.final")
    return job_view(await awaited(services, request, job_id, seconds, look, is_over=is_over))
