"""The courier: what must happen although nobody asks. It needs no torch.

It sweeps Redis for jobs of dead workers, reconciles queue and store, lets old things expire, and
tells callers how their jobs ended.
"""

import logging
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, Thread

from core.errors import GateError, StoreError
from core.exit_codes import DONE
from core.findings import finding
from core.jobs import JobFailure, JobRequest, JobResult, JobState, now
from core.queue import JobQueue, build_id, connect
from core.queue_state import beat
from core.records import Records
from core.settings import RetentionSettings, Settings
from core.store import open_store
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL
from worker.expiry import expire
from worker.recovery import sweep
from worker.webhooks.rounds import delivering

LEAVE_SECONDS = 5.0

_EXHAUSTED = JobFailure(
    code="attempts_exhausted",
    message="no attempt came to an end; look for it in the workers' logs, then post it again",
)
_DEADLY = JobFailure(
    code="workers_lost",
    message="each worker that took it died with it in hand, for want of memory most likely; look"
    " into the workers' logs and the kernel's, then post it again",
)

_log = logging.getLogger(__name__)

Stop = Callable[[], bool]


def reconcile(records: Records, queue: JobQueue, stop: Stop = lambda: False) -> int:
    """Queue every accepted job, and every alignment to build, that is not on its way; how many.

    What cannot be read is logged and passed over, so that it holds up nobody else. Raises
    `StoreError` if the store cannot even be listed, `QueueError` if Redis does not answer.
    """
    on_their_way = queue.on_their_way()
    queued = 0
    for tenant, job_id in records.pending():
        if stop():
            return queued
        if job_id in on_their_way:
            continue
        try:
            queued += _reconcile_job(records, queue, tenant, job_id)
        except StoreError as error:
            _log.error("job %s of tenant %s is passed over: %s", job_id, tenant, error)
    for name in records.alignment_names():
        if stop():
            return queued
        if build_id(name) in on_their_way:
            continue
        try:
            queued += _reconcile_build(records, queue, name)
        except StoreError as error:
            _log.error("alignment %s is passed over: %s", name, error)
    return queued


def _reconcile_job(records: Records, queue: JobQueue, tenant: str, job_id: str) -> bool:
    """True if the job was queued.

    One whose attempts are spent without a word in the store, or that killed its workers, is
    recorded as failed instead.
    """
    standing = records.result(tenant, job_id)
    if standing is not None:
        records.settle(tenant, job_id, standing)
        return False
    request = records.request(tenant, job_id)
    if request is None:
        return False  # being accepted just now, or given up before it was
    failure = _given_up(queue, job_id)
    if failure is None:
        return queue.submit_job(request)
    records.finish(tenant, job_id, _as_failed(request, failure))
    queue.events.ended(job_id)
    _log.error("job %s of tenant %s is set aside: %s", job_id, tenant, failure.code)
    return False


def _reconcile_build(records: Records, queue: JobQueue, name: str) -> bool:
    """True if the build was queued; one that was given up is recorded as failed."""
    record = records.alignment(name)
    if record is None or record.state != "building":
        return False
    failure = _given_up(queue, build_id(name))
    if failure is None:
        return queue.submit_build(name)
    records.finish_build(record.as_failed(failure.code, failure.message, now()))
    queue.forget_deaths(build_id(name))  # the same name may be registered anew
    _log.error("the build of alignment %s is set aside: %s", name, failure.code)
    return False


def _given_up(queue: JobQueue, rq_id: str) -> JobFailure | None:
    if queue.is_deadly(rq_id):
        return _DEADLY
    return _EXHAUSTED if queue.gave_up(rq_id) else None


def _as_failed(request: JobRequest, failure: JobFailure) -> JobResult:
    findings = []
    if failure is _DEADLY:
        weights = (f.name for f in request.files if f.name != ADAPTER_CONFIG)
        subject = next(weights, ADAPTER_MODEL)
        findings = [finding(_DEADLY.code, "file", subject)]
    return JobResult(state=JobState.FAILED, finished_at=now(), error=failure, findings=findings)


def run_courier(
    records: Records, queue: JobQueue, retention: RetentionSettings, stop: Event
) -> None:
    """Each duty in a thread of its own until `stop`, so that none waits for a longer one."""
    settings = queue.settings

    def sweeping() -> None:
        beat(queue)
        sweep(queue)

    def reconciling() -> None:
        queued = reconcile(records, queue, stop.is_set)
        if queued:
            _log.warning("%d accepted jobs were not on the queue and are now", queued)

    def expiring() -> None:
        expire(records.store, retention, datetime.now(UTC), stop=stop.is_set)

    duties = (
        (settings.sweep_every, sweeping),
        (settings.reconcile_every, reconciling),
        (retention.every, expiring),
    )
    threads = [
        Thread(target=_again_and_again, args=(stop, every, duty), daemon=True)
        for every, duty in duties
    ]
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join(LEAVE_SECONDS)  # what waits for a store that is away is left


def _again_and_again(stop: Event, every: float, duty: Callable[[], object]) -> None:
    """Now and at every interval, at rest half of the time at least; what is down is waited for."""
    while not stop.is_set():
        start = time.monotonic()
        try:
            duty()
        except GateError as error:
            _log.warning("waiting for the next round: %s", error)
        spent = time.monotonic() - start
        stop.wait(max(every - spent, spent))


def run_process(settings: Settings) -> int:
    """The courier's process: until SIGTERM or SIGINT."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    redis = connect(settings.redis, answer_within=settings.redis.answer_timeout)
    records = Records(open_store(settings.store))
    queue = JobQueue(redis, settings.queue, settings.tenants)
    with delivering(records, redis, settings.webhooks, stop):
        run_courier(records, queue, settings.retention, stop)
    return DONE
