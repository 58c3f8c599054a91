"""What happens to a job, as it happens: a short stream in Redis for those who follow it.

It is bounded, lapses, and goes with Redis: how a job ended lies in the store.
"""

from typing import Final, Literal, cast, get_args

from pydantic import ValidationError
from redis import Redis
from redis.client import Pipeline

from core.jobs import Progress
from core.model import Frozen
from core.redis_errors import redis_errors

EventKind = Literal["queued", "running", "progress", "ended"]
StreamEntry = tuple[bytes, dict[bytes, bytes]]

KEPT: Final = 1000  # events of a job
ENDS_CHANNEL: Final = "safelora:ends"
"""On which the id of each job that ends is published, for who waits for it just then."""

_KEPT_SECONDS: Final = 24 * 3600
_KEPT_AFTER_END: Final = 3600


class JobEvent(Frozen):
    """`id` is its place in the stream; `progress` comes with `running` and `progress`."""

    id: str
    kind: EventKind
    progress: Progress | None = None


class JobEvents:
    """Tells what happens to jobs. Every Redis error becomes a `QueueError`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def queued(self, job_id: str, pipeline: Pipeline | None = None) -> None:
        """It waits for a worker, and has no end: a mark of one is of an earlier job of this id.

        Told with whatever else `pipeline` does, if one is given.
        """
        with redis_errors(), self._redis.pipeline() as own:
            told = own if pipeline is None else pipeline
            _add(told, job_id, "queued")
            told.delete(ended_mark(job_id))
            if pipeline is None:
                own.execute()

    def running(
        self, job_id: str, progress: Progress, *, begins: bool, pipeline: Pipeline | None = None
    ) -> bool:
        """A worker has it in hand, since now if it `begins`; True if an end was marked. Executes
        `pipeline`, if one is given."""
        kind: EventKind = "running" if begins else "progress"
        with redis_errors(), self._redis.pipeline() as own:
            told = own if pipeline is None else pipeline
            _add(told, job_id, kind, progress)
            told.exists(ended_mark(job_id))
            return bool(told.execute()[-1])

    def ended(self, job_id: str, pipeline: Pipeline | None = None) -> None:
        """The store has its result: said to those who follow it, marked for who still runs it.
        Executes `pipeline`, if one is given."""
        with redis_errors(), self._redis.pipeline() as own:
            told = own if pipeline is None else pipeline
            told.set(ended_mark(job_id), "1", ex=_KEPT_AFTER_END)
            _add(told, job_id, "ended", seconds=_KEPT_AFTER_END)
            told.publish(ENDS_CHANNEL, job_id)
            told.execute()

    def forget(self, job_id: str) -> None:
        with redis_errors():
            self._redis.delete(stream_key(job_id))


def _add(
    pipeline: Pipeline,
    job_id: str,
    kind: EventKind,
    progress: Progress | None = None,
    *,
    seconds: int = _KEPT_SECONDS,
) -> None:
    key = stream_key(job_id)
    told = progress.model_dump_json() if progress else ""
    pipeline.xadd(key, {"kind": kind, "progress": told}, maxlen=KEPT, approximate=False)
    pipeline.expire(key, seconds)


def stream_key(job_id: str) -> str:
    return f"safelora:events:{job_id}"


def ended_mark(job_id: str) -> str:
    return f"safelora:ended:{job_id}"


def read_event(entry: StreamEntry) -> JobEvent | None:
    """None for what no version of ours wrote, or only a newer one reads."""
    event_id, fields = entry
    kind, progress = fields.get(b"kind", b"").decode(errors="replace"), fields.get(b"progress")
    if kind not in get_args(EventKind):
        return None
    try:
        told = Progress.model_validate_json(progress) if progress else None
    except ValidationError:
        return None
    if (told is None) != (kind in ("queued", "ended")):
        return None
    return JobEvent(id=event_id.decode(), kind=cast(EventKind, kind), progress=told)
