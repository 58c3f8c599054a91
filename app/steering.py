"""Cancelling, retrying and removing jobs. The store decides; Redis is told. All of it blocks."""

import logging

from app.access.callers import Caller
from app.intake.accept import keep
from app.intake.again import copied_again, kept_inputs, standing_alignment
from app.intake.idempotency import Idempotency
from app.intake.terms import check_floor
from app.services import Services
from app.views import Snapshot, find_job, snapshot
from core.canonical import digest
from core.errors import Conflict, QueueError
from core.jobs import InputFile, JobRequest, JobResult, JobState, new_job_id, now

_log = logging.getLogger(__name__)
_RETRYABLE = (JobState.FAILED, JobState.CANCELLED)


def cancel(services: Services, caller: Caller, job_id: str) -> Snapshot:
    """The cancelled job. Raises `NotFound`, `Conflict` (`job_ended`) or `StoreError`."""
    job = find_job(services, caller.tenant, job_id)
    seen = snapshot(services, job)
    standing = seen.result
    if standing is None:
        started = seen.progress.started_at if seen.progress else None
        word = JobResult(state=JobState.CANCELLED, started_at=started, finished_at=now())
        standing = services.records.finish(job.tenant, job.id, word)
    if standing.state is not JobState.CANCELLED:
        raise Conflict(
            f"the job has ended as {standing.state}: there is nothing left to cancel",
            code="job_ended",
            state=standing.state,
        )
    try:
        services.queue.withdraw(job.id)
        services.queue.events.ended(job.id)
    except QueueError as error:
        _log.warning("job %s is cancelled, which Redis does not know yet: %s", job.id, error)
    return Snapshot(job, standing, None)


def retry(services: Services, caller: Caller, job_id: str, key: str | None) -> JobRequest:
    """The new job, or the one that its idempotency key made before.

    Raises `NotFound`, `Conflict` (`job_not_retryable`, `alignment_removed`), `Forbidden`
    (`policy_below_floor`), `Gone` (`input_expired`), `Unprocessable` or `StoreError`, and then
    nothing was accepted.
    """
    idempotency = Idempotency(services.store, caller.tenant, key, digest({"retry_of": job_id}))
    claimed = idempotency.job_id()
    if claimed is not None:
        standing = services.records.request(caller.tenant, claimed)
        if standing is not None:
            return standing
    old = find_job(services, caller.tenant, job_id)
    _check_retryable(services, old)
    weaker = _below_floor(services, caller, old)
    files = kept_inputs(services, old)
    new_id = claimed or idempotency.claim(new_job_id())
    services.records.announce(caller.tenant, new_id)
    request = old.model_copy(
        update={
            "id": new_id,
            "created_at": now(),
            "below_floor": weaker,
            "files": [_own(services, caller, new_id, file) for file in files],
            "retry_of": old.id,
        }
    )
    return keep(services, caller, request, claimed=claimed is not None)


def remove(services: Services, caller: Caller, job_id: str) -> None:
    """Raises `NotFound`, `Conflict` (`job_not_ended`) or `StoreError`."""
    job = find_job(services, caller.tenant, job_id)
    if services.records.result(job.tenant, job.id) is None:
        raise Conflict("the job has not ended: cancel it first", code="job_not_ended")
    services.records.remove(job.tenant, job.id)
    _log.info("job %s of tenant %s removed by key %s", job.id, job.tenant, caller.key_id)
    try:
        services.queue.events.forget(job.id)
    except QueueError as error:
        _log.warning("the events of job %s stay until they lapse: %s", job.id, error)


def _check_retryable(services: Services, job: JobRequest) -> None:
    state = snapshot(services, job).state
    if state in _RETRYABLE:
        return
    hint = "post the adapter again for another result" if state.final else "it has not ended"
    raise Conflict(
        f"only failed and cancelled jobs are retried, and this one is {state}: {hint}",
        code="job_not_retryable",
        state=state,
    )


def _below_floor(services: Services, caller: Caller, job: JobRequest) -> list[str]:
    """The floor may have been raised since, and a weaker policy been let in for another key."""
    return check_floor(job.policy, standing_alignment(services, job.alignment), caller)


def _own(services: Services, caller: Caller, job_id: str, file: InputFile) -> InputFile:
    """A source stays pinned."""
    return file if file.key is None else copied_again(services, caller, job_id, file)
