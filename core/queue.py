"""The queue: its tasks by name, how a job gets on it, and the live progress beside it.

Redis only carries; what must last lies in the object store.
"""

from typing import Final

from pydantic import ValidationError
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Retry
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.job import Job as RQJob
from rq.job import JobStatus
from rq.serializers import JSONSerializer

from core.errors import QueueError
from core.jobs import Progress
from core.settings import QueueSettings, RedisSettings

SANITIZE: Final = "worker.tasks.sanitize"
BUILD_ALIGNMENT: Final = "worker.tasks.build_alignment"

_ALIVE = frozenset({JobStatus.QUEUED, JobStatus.STARTED, JobStatus.SCHEDULED, JobStatus.DEFERRED})


def build_id(name: str) -> str:
    """The queue's id of an alignment's build. RQ allows no dot in it; no two names share one."""
    return "align-" + name.replace("_", "_u").replace(".", "_d")


def connect(settings: RedisSettings, *, answer_within: float | None = None) -> Redis:
    """A client; it connects at first use, so a Redis that is down stops nobody from starting.

    `answer_within` seconds bounds each answer; a worker, which waits for jobs, gives none.
    """
    return Redis.from_url(
        settings.url.get_secret_value(),
        socket_connect_timeout=settings.connect_timeout,
        socket_timeout=answer_within,
        health_check_interval=30,
    )


class JobQueue:
    """One RQ queue with JSON payloads. Every Redis error becomes a `QueueError`."""

    def __init__(self, redis: Redis, settings: QueueSettings) -> None:
        self.redis = redis
        self.settings = settings
        self._queue = Queue(
            settings.name,
            connection=redis,
            default_timeout=settings.job_timeout,
            serializer=JSONSerializer,
        )

    def submit_job(self, tenant: str, job_id: str) -> bool:
        """Queue a sanitizing job; False if it is queued or running already."""
        return self._enqueue(
            SANITIZE, job_id, {"tenant": tenant, "job_id": job_id}, self.settings.job_timeout
        )

    def submit_build(self, name: str) -> bool:
        """Queue the build of a registered alignment; False if it is queued or running already."""
        return self._enqueue(
            BUILD_ALIGNMENT, build_id(name), {"name": name}, self.settings.build_timeout
        )

    def _enqueue(self, task: str, rq_id: str, kwargs: dict[str, str], timeout: int) -> bool:
        try:
            if self._status(rq_id) in _ALIVE:
                return False
            self._queue.enqueue_call(
                task,
                kwargs=kwargs,
                job_id=rq_id,
                timeout=timeout,
                result_ttl=60,
                failure_ttl=24 * 3600,
                retry=Retry(max=retries) if (retries := self.settings.attempts - 1) else None,
            )
        except DuplicateJobError:
            return False
        except RedisError as error:
            raise QueueError(f"Redis did not take {rq_id}: {error}") from error
        return True

    def gave_up(self, rq_id: str) -> bool:
        """True if every attempt of this job is spent. Raises `QueueError`."""
        try:
            return self._status(rq_id) == JobStatus.FAILED
        except RedisError as error:
            raise QueueError(f"Redis does not answer: {error}") from error

    def _status(self, rq_id: str) -> JobStatus | None:
        try:
            job = RQJob.fetch(rq_id, connection=self.redis, serializer=JSONSerializer)
            return job.get_status()
        except NoSuchJobError:
            return None

    def ping(self) -> None:
        try:
            self.redis.ping()
        except RedisError as error:
            raise QueueError(f"Redis does not answer: {error}") from error

    def set_progress(self, job_id: str, progress: Progress) -> None:
        """Say where a running job is; the word lapses after one lease unless it is renewed."""
        key, value = self._progress_key(job_id), progress.model_dump_json()
        try:
            self.redis.set(key, value, ex=self.settings.lease)
        except RedisError as error:
            raise QueueError(f"Redis does not answer: {error}") from error

    def renew_progress(self, job_id: str) -> None:
        """Raises the client's own errors: only the heartbeat thread calls it, and logs them."""
        self.redis.expire(self._progress_key(job_id), self.settings.lease)

    def clear_progress(self, job_id: str) -> None:
        try:
            self.redis.delete(self._progress_key(job_id))
        except RedisError as error:
            raise QueueError(f"Redis does not answer: {error}") from error

    def progress(self, job_id: str) -> Progress | None:
        """Where the job is, or None if no worker holds it. Raises `QueueError`."""
        try:
            value = self.redis.get(self._progress_key(job_id))
        except RedisError as error:
            raise QueueError(f"Redis does not answer: {error}") from error
        try:
            return Progress.model_validate_json(value) if isinstance(value, bytes) else None
        except ValidationError as error:
            raise QueueError(f"the progress of {job_id} is unreadable") from error

    @staticmethod
    def _progress_key(job_id: str) -> str:
        return f"safelora:running:{job_id}"
