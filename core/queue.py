"""The queue: its tasks by name, how a job gets on it, and the live progress beside it.

Redis only carries; what must last lies in the object store.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from opentelemetry.trace import SpanKind
from pydantic import ValidationError
from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry
from rq import Queue, RateLimit
from rq import Retry as Attempts
from rq.exceptions import NoSuchJobError
from rq.job import Job as RQJob
from rq.job import JobStatus
from rq.rate_limit import RateLimitRegistry
from rq.serializers import JSONSerializer

from core.errors import QueueError
from core.events import JobEvents
from core.jobs import JobRequest, Progress
from core.observing.context import carried
from core.observing.traces import span
from core.redis_errors import redis_errors
from core.settings import QueueSettings, RedisSettings, TenantSettings
from core.timeouts import job_timeout

SANITIZE: Final = "worker.tasks.sanitize"
BUILD_ALIGNMENT: Final = "worker.tasks.build_alignment"

# In a waiting job's meta: the id of the alignment that it is for, and how large its input is;
# beside them what `carried` gives.
ALIGNMENT: Final = "alignment"
BYTES: Final = "bytes"

_KEPT_AFTER_SUCCESS = 60  # seconds; the object store has the result
_KEPT_AFTER_FAILURE = 24 * 3600
_DEATHS_KEPT = 7 * 24 * 3600


def build_id(name: str) -> str:
    """The queue's id of an alignment's build. RQ allows no dot in it; no two names share one."""
    return "align-" + name.replace("_", "_u").replace(".", "_d")


def connect(settings: RedisSettings, *, answer_within: float | None = None) -> Redis:
    """A client; it connects at first use, so a Redis that is down stops nobody from starting.

    `answer_within` seconds bounds each answer, and no answer is waited for more than twice; a
    worker, which waits for jobs, gives none.
    """
    patience = {} if answer_within is None else {"retry": Retry(NoBackoff(), 1)}
    return Redis.from_url(
        settings.url.get_secret_value(),
        socket_connect_timeout=settings.connect_timeout,
        socket_timeout=answer_within,
        health_check_interval=30,
        **patience,
    )


@dataclass(frozen=True)
class _Entry:
    """What RQ is given; `meta` is there for those who look at what waits."""

    task: str
    rq_id: str
    kwargs: dict[str, str]
    timeout: int
    meta: dict[str, str | int]


class JobQueue:
    """One RQ queue with JSON payloads. Every Redis error becomes a `QueueError`."""

    def __init__(
        self,
        redis: Redis,
        settings: QueueSettings,
        tenants: Mapping[str, TenantSettings] | None = None,
    ) -> None:
        """`tenants` that have a `concurrency` of their own; all others have the queue's."""
        self.redis = redis
        self.settings = settings
        self._tenants = tenants or {}
        self.rq = Queue(settings.name, connection=redis, serializer=JSONSerializer)
        self.events = JobEvents(redis)

    def submit_job(self, request: JobRequest, *, is_new: bool = False) -> bool:
        """Queue a sanitizing job; False if it is on its way already, which of one that `is_new`
        nobody asks."""
        size = sum(file.size for file in request.files)
        entry = _Entry(
            SANITIZE,
            request.id,
            {"tenant": request.tenant, "job_id": request.id},
            job_timeout(self.settings, size),
            {ALIGNMENT: request.alignment.id, BYTES: size},
        )
        return self._submit(entry, self._limit_of(request.tenant), is_new=is_new)

    def submit_build(self, name: str) -> bool:
        """Queue the build of a registered alignment; False if it is on its way already."""
        timeout = self.settings.build_timeout
        entry = _Entry(BUILD_ALIGNMENT, build_id(name), {"name": name}, timeout, {})
        return self._submit(entry, None)

    def _submit(self, entry: _Entry, limit: RateLimit | None, *, is_new: bool = False) -> bool:
        with span("enqueue", kind=SpanKind.PRODUCER, job_id=entry.rq_id), redis_errors():
            if not is_new and self.redis.exists(RQJob.key_for(entry.rq_id)):
                if self._is_on_its_way(entry.rq_id):
                    return False
                self.redis.delete(RQJob.key_for(entry.rq_id))
            if limit is not None:  # with one RQ takes no pipeline
                self._enqueue(entry, limit, None)
                return True
            with self.redis.pipeline() as pipeline:
                self._enqueue(entry, None, pipeline)
                pipeline.execute()
            return True

    def _enqueue(self, entry: _Entry, limit: RateLimit | None, pipeline: Pipeline | None) -> None:
        """Followers are told before it can run: first, or in the same transaction."""
        if entry.task == SANITIZE and pipeline is None:
            self.events.queued(entry.rq_id)
        retries = self.settings.attempts - 1
        self.rq.enqueue_call(
            entry.task,
            kwargs=entry.kwargs,
            job_id=entry.rq_id,
            timeout=entry.timeout,
            meta=entry.meta | carried(),
            result_ttl=_KEPT_AFTER_SUCCESS,
            failure_ttl=_KEPT_AFTER_FAILURE,
            retry=Attempts(max=retries) if retries else None,
            rate_limit=limit,
            pipeline=pipeline,
        )
        if entry.task == SANITIZE and pipeline is not None:
            self.events.queued(entry.rq_id, pipeline)  # not before: RQ begins the transaction

    def withdraw(self, rq_id: str) -> None:
        """Take what waits off the queue; what a worker has in hand is left to it."""
        with redis_errors():
            taken = self.redis.lrem(self.rq.key, 0, rq_id)
            for kept in self.limits():
                taken += self.redis.zrem(kept.rate_limited_key, rq_id)
            if taken:
                with suppress(NoSuchJobError):
                    job = RQJob.fetch(rq_id, connection=self.redis, serializer=JSONSerializer)
                    job.delete(remove_from_queue=False)

    def _limit_of(self, tenant: str) -> RateLimit | None:
        own = self._tenants.get(tenant, TenantSettings()).concurrency
        concurrency = self.settings.tenant_concurrency if own is None else own
        if concurrency is None:
            return None
        return RateLimit(f"{self.settings.name}:{tenant}", concurrency)

    def _is_on_its_way(self, rq_id: str) -> bool:
        """What its hash says is not enough: who was to run it may be dead."""
        status = self._status(rq_id)
        if status == JobStatus.QUEUED:
            waiting = (self.rq.key, self.rq.intermediate_queue_key)
            return any(self.redis.lpos(key, rq_id) is not None for key in waiting) or (
                rq_id in self.started()
            )
        if status == JobStatus.STARTED:
            return rq_id in self.started()
        return status == JobStatus.RATE_LIMITED and rq_id in self._parked()

    def on_their_way(self) -> frozenset[str]:
        """All that wait or run, as far as Redis knows. Raises `QueueError`."""
        with redis_errors():
            waiting = [
                as_text(rq_id)
                for key in (self.rq.key, self.rq.intermediate_queue_key)
                for rq_id in self.redis.lrange(key, 0, -1)
            ]
            return frozenset([*waiting, *self.started(), *self._parked()])

    def started(self) -> set[str]:
        """Those that a worker has a lease on, run out or not."""
        return set(self.rq.started_job_registry.get_job_ids(cleanup=False))

    def _parked(self) -> set[str]:
        """Those that wait until their tenant has fewer on their way."""
        return {rq_id for kept in self.limits() for rq_id in kept.get_rate_limited_job_ids()}

    def limits(self) -> list[RateLimitRegistry]:
        """What RQ keeps of each tenant with a bound on how many are on their way."""
        ours = f"{self.settings.name}:"
        return [r for r in RateLimitRegistry.all(self.redis) if r.key.startswith(ours)]

    def depth(self) -> int:
        """How many wait for a worker. Raises `QueueError`."""
        with redis_errors(), self.redis.pipeline() as pipeline:
            pipeline.llen(self.rq.key)
            for kept in self.limits():
                pipeline.zcard(kept.rate_limited_key)
            return sum(pipeline.execute())

    def gave_up(self, rq_id: str) -> bool:
        """True if every attempt of this job is spent. Raises `QueueError`."""
        with redis_errors():
            return self._status(rq_id) == JobStatus.FAILED

    def _status(self, rq_id: str) -> str | None:
        value = self.redis.hget(RQJob.key_for(rq_id), "status")
        return None if value is None else as_text(value)

    def count_death(self, rq_id: str) -> None:
        """One more worker died with this job in hand. Raises `QueueError`."""
        key = deaths_key(rq_id)
        with redis_errors():
            self.redis.incr(key)
            self.redis.expire(key, _DEATHS_KEPT)

    def is_deadly(self, rq_id: str) -> bool:
        """True if as many workers died with it as are allowed to. Raises `QueueError`."""
        with redis_errors():
            return int(self.redis.get(deaths_key(rq_id)) or 0) >= self.settings.deaths

    def forget_deaths(self, rq_id: str) -> None:
        with redis_errors():
            self.redis.delete(deaths_key(rq_id))

    def tell_running(self, job_id: str, progress: Progress, *, begins: bool) -> bool:
        """`set_progress`, and an event for those who follow it; True if an end was marked."""
        with redis_errors(), self.redis.pipeline() as pipeline:
            self._set_progress(pipeline, job_id, progress)
            return self.events.running(job_id, progress, begins=begins, pipeline=pipeline)

    def tell_end(self, job_id: str) -> None:
        """The store has its result, and no worker holds it any more."""
        with redis_errors(), self.redis.pipeline() as pipeline:
            pipeline.delete(_progress_key(job_id))
            self.events.ended(job_id, pipeline)

    def set_progress(self, job_id: str, progress: Progress) -> None:
        """Say where a running job is; the word lapses after one lease unless it is renewed."""
        with redis_errors():
            self._set_progress(self.redis, job_id, progress)

    def _set_progress(self, redis: Redis, job_id: str, progress: Progress) -> None:
        redis.set(_progress_key(job_id), progress.model_dump_json(), ex=self.settings.lease)

    def renew_progress(self, job_id: str) -> None:
        with redis_errors():
            self.redis.expire(_progress_key(job_id), self.settings.lease)

    def clear_progress(self, job_id: str) -> None:
        with redis_errors():
            self.redis.delete(_progress_key(job_id))

    def progress(self, job_id: str) -> Progress | None:
        """Where the job is, or None if no worker holds it. Raises `QueueError`."""
        with redis_errors():
            value = self.redis.get(_progress_key(job_id))
        try:
            return Progress.model_validate_json(value) if isinstance(value, bytes) else None
        except ValidationError as error:
            raise QueueError(f"the progress of {job_id} is unreadable") from error


def as_text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _progress_key(job_id: str) -> str:
    return f"safelora:running:{job_id}"


def deaths_key(rq_id: str) -> str:
    return f"safelora:deaths:{rq_id}"
