"""The courier: what must happen although nobody asks. For now, reconciling queue and store."""

import logging
import signal
from threading import Event

from core.errors import GateError, StoreError
from core.jobs import JobFailure, JobResult, JobState, now
from core.queue import JobQueue, build_id, connect
from core.records import Records
from core.settings import Settings
from core.store import open_store

_EXHAUSTED = JobFailure(
    code="attempts_exhausted",
    message="no attempt came to an end; look for it in the workers' logs, then post it again",
)

_log = logging.getLogger(__name__)


def reconcile(records: Records, queue: JobQueue) -> int:
    """Queue every accepted job, and every alignment to build, that is not on its way; how many.

    What cannot be read is logged and passed over, so that it holds up nobody else. Raises
    `StoreError` if the store cannot even be listed, `QueueError` if Redis does not answer.
    """
    queued = 0
    for tenant, job_id in records.pending():
        try:
            queued += _reconcile_job(records, queue, tenant, job_id)
        except StoreError as error:
            _log.error("job %s of tenant %s is passed over: %s", job_id, tenant, error)
    for name in records.alignment_names():
        try:
            queued += _reconcile_build(records, queue, name)
        except StoreError as error:
            _log.error("alignment %s is passed over: %s", name, error)
    return queued


def _reconcile_job(records: Records, queue: JobQueue, tenant: str, job_id: str) -> bool:
    """True if the job was queued.

    One whose attempts are spent without a word in the store, as when it kills its worker each
    time, is recorded as failed instead.
    """
    if records.result(tenant, job_id) is not None:
        records.forget_pending(tenant, job_id)
        return False
    if records.request(tenant, job_id) is None:
        return False  # being accepted just now, or given up before it was
    if queue.gave_up(job_id):
        result = JobResult(state=JobState.FAILED, finished_at=now(), error=_EXHAUSTED)
        records.finish(tenant, job_id, result)
        return False
    return queue.submit_job(tenant, job_id)


def _reconcile_build(records: Records, queue: JobQueue, name: str) -> bool:
    """True if the build was queued; one whose attempts are spent is recorded as failed."""
    record = records.alignment(name)
    if record is None or record.state != "building":
        return False
    if queue.gave_up(build_id(name)):
        failed = record.as_failed(_EXHAUSTED.code, _EXHAUSTED.message, now())
        records.finish_build(failed)
        return False
    return queue.submit_build(name)


def run_courier(records: Records, queue: JobQueue, stop: Event) -> None:
    """Reconcile now and at every interval until `stop`; what is down is waited for."""
    while True:
        try:
            queued = reconcile(records, queue)
            if queued:
                _log.warning("%d accepted jobs were not on the queue and are now", queued)
        except GateError as error:
            _log.warning("reconciling waits for the next round: %s", error)
        if stop.wait(queue.settings.reconcile_every):
            return


def run_process(settings: Settings) -> int:
    """The courier's process: until SIGTERM or SIGINT."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    redis = connect(settings.redis, answer_within=settings.redis.answer_timeout)
    records = Records(open_store(settings.store))
    run_courier(records, JobQueue(redis, settings.queue), stop)
    return 0
