"""Following a job: server-sent events until it has ended."""

from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.sse import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.access.callers import JobsCaller
from app.description.answers import problems
from app.description.openapi import EVENTS
from app.following import FINAL_ID, find_result, follow
from app.services import Served
from app.views import find_job

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
_UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@router.get(
    "/{job_id}/events",
    response_class=Response,
    responses=EVENTS | problems("job_not_found", "too_many_streams"),
    summary="Follow a job",
)
async def get_events(
    services: Served,
    caller: JobsCaller,
    job_id: str,
    last_event_id: Annotated[
        str, Header(description="the `id` of the last event that was seen: only later ones come")
    ] = "",
) -> Response:
    """`state`: the job, as it is queued, taken by a worker, and ended, which is the last event.
    `progress`: its stage, and modules done of all. Comments come between, at least every 15 s.

    What was missed is sent again as far as it is kept, the newest thousand events; where it is not,
    or `Last-Event-ID` names none of them, the state of the moment comes first. An event without
    `id` is such a state. Sent with the id of the last event the answer is 204: there is no more.
    """
    job = await run_in_threadpool(find_job, services, caller.tenant, job_id)
    result = await find_result(services, job)
    if last_event_id == FINAL_ID and result is not None:
        return Response(status_code=204)
    frames = follow(services, job, result, last_event_id)
    return EventSourceResponse(frames, headers=_UNBUFFERED)
