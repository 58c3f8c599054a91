"""The courier: what must happen although nobody asks. For now, reconciling queue and store."""

import logging
import signal
from threading import Event

from core.errors import GateError
from core.jobs import JobFailure, JobResult, JobState, now
from core.queue import JobQueue, connect
from core.records import Records
from core.settings import Settings
from core.store import open_store

_log = logging.getLogger(__name__)


def reconcile(records: Records, queue: JobQueue) -> int:
    """Queue every accepted job that is not on its way; returns how many.

    A job whose attempts are spent without a word in the store, as when it kills its worker each
    time, is recorded as failed instead. Raises `StoreError`, `QueueError`.
    """
    queued = 0
    for tenant, job_id in records.pending():
        if records.result(tenant, job_id) is not None:
            records.forget_pending(tenant, job_id)
        elif records.request(tenant, job_id) is None:
            continue  # being accepted just now, or given up before it was
        elif queue.gave_up(job_id):
            failure = JobFailure(
                code="attempts_exhausted",
                message="no attempt at this job came to an end; look for it in the workers' logs",
            )
            records.finish(
                tenant,
                job_id,
                JobResult(state=JobState.FAILED, finished_at=now(), error=failure),
            )
        elif queue.submit_job(tenant, job_id):
            queued += 1
    for record in records.alignments():
        if record.state == "building" and queue.submit_build(record.name):
            queued += 1
    return queued


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
