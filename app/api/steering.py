"""Steering a job: cancel it, try it again, remove it."""

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app import steering
from app.access.auditing import tell_below_floor
from app.access.callers import JobsCaller
from app.description.answers import IDEMPOTENT, problems
from app.description.openapi import ACCEPTED
from app.intake.idempotency import IdempotencyKey
from app.intake.room import check_room
from app.services import Served
from app.views import JobView, job_view, mark_accepted, snapshot

_NOT_RETRIED = problems(
    *("job_not_found", "job_not_retryable", "alignment_removed", "policy_below_floor"),
    *("input_expired", *IDEMPOTENT, "queue_full"),
)

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.post(
    "/{job_id}/cancel",
    response_model=JobView,
    responses=problems("job_not_found", "job_ended"),
    summary="Cancel a job",
)
def cancel_job(services: Served, caller: JobsCaller, job_id: str) -> JobView:
    """It is `cancelled` from here on; a worker that has it in hand stops at its next module.

    A job that is cancelled already is answered as it is.
    """
    return job_view(steering.cancel(services, caller, job_id))


@router.post(
    "/{job_id}/retry",
    response_model=JobView,
    status_code=202,
    responses=ACCEPTED | _NOT_RETRIED,
    summary="Try a job again",
)
async def retry_job(
    request: Request,
    response: Response,
    services: Served,
    caller: JobsCaller,
    job_id: str,
    idempotency_key: IdempotencyKey = None,
) -> JobView:
    """A new job of the same input, alignment, policy and metadata, for one that failed or was
    cancelled; `retry_of` names that one, which stays as it is.

    The floor is the alignment's of today. Answers 200 where an Idempotency-Key stands for a job
    that has ended.
    """
    await run_in_threadpool(check_room, services, caller, idempotency_key)
    job = await run_in_threadpool(steering.retry, services, caller, job_id, idempotency_key)
    seen = await run_in_threadpool(snapshot, services, job)
    tell_below_floor(request, [job])
    mark_accepted(response, seen)
    return job_view(seen)


@router.delete(
    "/{job_id}",
    status_code=204,
    response_class=Response,
    responses=problems("job_not_found", "job_not_ended"),
    summary="Remove a job that has ended",
)
def delete_job(services: Served, caller: JobsCaller, job_id: str) -> Response:
    """Its input and its records go. Results stay, for others may share them."""
    steering.remove(services, caller, job_id)
    return Response(status_code=204)
