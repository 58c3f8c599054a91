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
ALLOWED_TASKS: Final = frozenset({SANITIZE, BUILD_ALIGNMENT})

_ALIVE = frozenset({JobStatus.QUEUED, JobStatus.STARTED, JobStatus.SCHEDULED, JobStatus.DEFERRED})


def connect(settings: RedisSettings) -> Redis:
    """A client; it connects at first use, so a Redis that is down stops nobody from starting."""
    return Redis.from_url(
        settings.url.get_secret_value(),
        socket_connect_timeout=settings.connect_timeout,
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
        rq_id = "align-" + name.replace(".", "_dot_")
        return self._enqueue(BUILD_ALIGNMENT, rq_id, {"name": name}, self.settings.build_timeout)

    def _enqueue(self, task: str, rq_id: str, kwargs: dict[str, str], timeout: int) -> bool:
        try:
            if self._alive(rq_id):
                return False
            self._queue.enqueue_call(
                task,
                kwargs=kwargs,
                job_id=rq_id,
                timeout=timeout,
                result_ttl=60,
                failure_ttl=24 * 3600,
                retry=Retry(max=self.settings.attempts - 1),
            )
        except DuplicateJobError:
            return False
        except RedisError as error:
            raise QueueError(f"Redis did not take {rq_id}: {error}") from error
        return True

    def _alive(self, rq_id: str) -> bool:
        try:
            job = RQJob.fetch(rq_id, connection=self.redis, serializer=JSONSerializer)
            return job.get_status() in _ALIVE
        except NoSuchJobError:
            return False

    def ping(self) -> None:
        try:
            self.redis.ping()
        except RedisError as error:
            raise QueueError(f"Redis does not answer: {error}") from error

    def set_progress(self, job_id: str, progress: Progress) -> None:
        """Say where a running job is; the word lapses after one lease unless it is renewed."""
        self.redis.set(
            self._progress_key(job_id), progress.model_dump_json(), ex=self.settings.lease
        )

    def renew_progress(self, job_id: str) -> None:
        self.redis.expire(self._progress_key(job_id), self.settings.lease)

    def clear_progress(self, job_id: str) -> None:
        self.redis.delete(self._progress_key(job_id))

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
