"""The RQ worker: one process, one queue, jobs in the process itself so that tensors stay warm.

A forked child cannot use a CUDA context, and deadlocks once its parent has used torch; so the
worker is RQ's in-process one, with the overrides that make it heartbeat, cancel and drain.
"""

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from threading import Event, Thread
from typing import Any

import torch
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer

from core.attestation.keys import SigningKeyUnusable
from core.errors import QueueError
from core.queue import JobQueue, connect
from core.settings import Settings, SettingsInvalid
from core.sources import S3Sources
from core.store import open_store
from worker.attesting import check_key
from worker.interrupts import Drained, Interrupts, StoreAway
from worker.projection import native
from worker.recovery import sweep
from worker.tasks import Task, Tasks
from worker.workshop import Workshop, choose_device

PUT_BACK = (Drained, StoreAway, SystemExit)  # a second SIGTERM is a SystemExit
RQ_EXTRA_SECONDS = 15  # RQ blocks on the queue for its worker's time to live less these
WRONG_SETTINGS = 2
REDIS_WAIT = 5.0  # seconds between two looks whether Redis is back

_log = logging.getLogger(__name__)


class TaskNotAllowed(Exception):
    """A job on the queue names something that is no task of ours; it is not run."""


def gate_job(tasks: Mapping[str, Task]) -> type[Job]:
    """A job class that runs only `tasks`: no dotted name out of Redis is ever imported."""

    class GateJob(Job):
        @property
        def func(self) -> Callable[..., Any]:
            name = self.func_name or ""
            if name not in tasks:
                raise TaskNotAllowed(f"{name!r} is not on the list of tasks")
            return partial(tasks[name], attempts_left=self.retries_left or 0)

        def perform(self) -> Any:
            """What is not the job's fault costs it no attempt, nor its turn."""
            self.enqueue_at_front_on_retry = False
            try:
                return super().perform()
            except PUT_BACK:
                self.enqueue_at_front_on_retry = True
                self.retries_left = (self.retries_left or 0) + 1
                raise

        @property
        def success_callback(self) -> None:
            """Callbacks are dotted names too; we set none."""

        @property
        def failure_callback(self) -> None:
            """As above."""

        @property
        def stopped_callback(self) -> None:
            """As above."""

        def send_webhooks(self, *args: Any, **kwargs: Any) -> None:
            """RQ's webhooks are addresses out of Redis; we set none and call none."""

    return GateJob


class GateWorker(SimpleWorker):
    """`lease` seconds without a heartbeat, and others may take the job over."""

    max_connection_wait_time = REDIS_WAIT

    def __init__(self, jobs: JobQueue, tasks: Tasks, *, connection: Redis) -> None:
        self.jobs = jobs
        self.lease = jobs.settings.lease
        self.tasks = tasks
        self.interrupts = tasks.interrupts
        job_class = gate_job(tasks.by_name)
        queue = Queue(
            jobs.settings.name,
            connection=connection,
            job_class=job_class,
            serializer=JSONSerializer,
        )
        super().__init__(
            [queue],
            connection=connection,
            job_class=job_class,
            serializer=JSONSerializer,
            maintenance_interval=self.lease,
            job_monitoring_interval=max(1, self.lease // 3),
            worker_ttl=self.lease + RQ_EXTRA_SECONDS,
            log_job_description=False,
        )

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """A short lease whatever the job's timeout: the thread below renews it."""
        del job, working_time
        return self.lease

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """RQ's own, in one trip to Redis instead of three; it is asked for three times a job."""
        self.tasks.workshop.heartbeat.beat()
        if pipeline is not None:
            super().heartbeat(timeout, pipeline)
            return
        with self.connection.pipeline(transaction=False) as own:
            super().heartbeat(timeout, own)
            own.execute()

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
        """The job, with a thread beside it that keeps its lease."""
        done = Event()
        thread = Thread(target=self._keep_lease, args=(job, execution, done), daemon=True)
        thread.start()
        try:
            return super().perform_job(job, queue, execution)
        finally:
            done.set()
            thread.join()

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """There is no child to kill: the job is told to stop at its next module."""
        del sig
        self.interrupts.cancel.set()

    def handle_warm_shutdown_request(self) -> None:
        """The job goes back to the queue at its next module."""
        self.interrupts.drain.set()

    def execute_job(self, job: Job, queue: Queue) -> None:
        """A cancel that came too late for the last job must not hit this one."""
        self.interrupts.cancel.clear()
        super().execute_job(job, queue)
        self.tasks.rest()

    def clean_registries(self) -> None:
        """The courier's sweep, so that a gate without a courier recovers too, if later."""
        try:
            sweep(self.jobs)
        except QueueError as error:
            _log.warning("no sweep this time: %s", error)
        self.last_cleaned_at = datetime.now(UTC)  # type: ignore[assignment]

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """A job that is put back is no error."""
        if isinstance(exc_info[1], PUT_BACK):
            _log.warning("job %s goes back to the queue: %r", job.id, exc_info[1])
        else:
            super().handle_exception(job, *exc_info)

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        """A Redis that is slow for once must not end the thread that hears of cancels."""
        if isinstance(exc, RedisTimeoutError):
            _log.warning("Redis is slow to answer: %s", exc)
            time.sleep(1.0)
        else:
            super()._pubsub_exception_handler(exc, pubsub, pubsub_thread)

    def _keep_lease(self, job: Job, execution: Execution, done: Event) -> None:
        while not done.wait(self.lease / 3):
            try:
                self.maintain_heartbeats(job, execution)
                self.jobs.renew_progress(job.id)
            except (RedisError, QueueError) as error:
                _log.warning("heartbeat of job %s failed: %s", job.id, error)


def run_process(settings: Settings) -> int:
    """The worker's process: jobs until SIGTERM or SIGINT, the running one put back.

    A Redis that goes away is waited for: what is warm stays warm. With a signing key or a device
    that cannot be used it does not start.
    """
    if settings.worker.threads is not None:
        torch.set_num_threads(settings.worker.threads)
    try:
        device = choose_device(settings.worker.device)
    except SettingsInvalid as error:
        _log.error("not started: %s", error)
        return WRONG_SETTINGS
    connection = connect(settings.redis)
    jobs = JobQueue(connection, settings.queue, settings.tenants)
    workshop = Workshop(
        settings=settings,
        store=open_store(settings.store),
        sources=S3Sources(settings),
        device=device,
    )
    try:
        check_key(settings.attestation, workshop.store)
    except SigningKeyUnusable as error:
        _log.error("not started: %s", error)
        return WRONG_SETTINGS
    try:
        workshop.tidy()
    except OSError as error:
        _log.warning("what killed processes left on the disk stays for now: %s", error)
    if workshop.device.type == "cpu":
        _log.info("on the CPU with %s", native.describe())
    interrupts = Interrupts()
    tasks = Tasks(workshop, jobs, interrupts)
    for number in (signal.SIGTERM, signal.SIGINT):  # RQ's own are there only while it works
        signal.signal(number, lambda *_: interrupts.drain.set())
    while not interrupts.drain.is_set():
        workshop.heartbeat.beat()
        with contextlib.suppress(StopRequested):  # SIGTERM between two workers
            try:
                GateWorker(jobs, tasks, connection=connection).work(logging_level="WARNING")
            except RedisError as error:
                _log.warning("Redis is away: %s", error)
            interrupts.drain.wait(1.0)
    workshop.scratch.close()
    return 0
