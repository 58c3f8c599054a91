"""How the queue stands: what waits and runs, and who is there to do it. Two round trips."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from rq.rate_limit import RateLimitRegistry
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from core.jobs import created_ms
from core.queue import JobQueue, as_text
from core.redis_errors import redis_errors

HEARD_WITHIN: Final = 2  # leases: a worker without a job is heard of once in one
_LOOKED_AT: Final = 20  # of those that wait, for the oldest: what was put back stands in front
_BUSY: Final = b"busy"


@dataclass(frozen=True)
class QueueState:
    """`jobs`: how many are queued, held and running; `workers`: idle and busy, those alive.
    `oldest_seconds`: how long ago the oldest queued job was posted. `courier`: one is alive."""

    jobs: dict[str, int]
    workers: dict[str, int]
    oldest_seconds: float
    courier: bool


def queue_state(queue: JobQueue) -> QueueState:
    """Raises `QueueError`."""
    name = queue.settings.name
    with redis_errors():
        with queue.redis.pipeline(transaction=False) as pipeline:
            pipeline.llen(queue.rq.key)
            pipeline.llen(queue.rq.intermediate_queue_key)
            pipeline.zcard(queue.rq.started_job_registry.key)
            pipeline.lrange(queue.rq.key, 0, _LOOKED_AT - 1)
            pipeline.smembers(WORKERS_BY_QUEUE_KEY % name)
            pipeline.smembers(RateLimitRegistry.rl_keys_key)
            pipeline.exists(courier_key(name))
            waiting, moving, running, front, workers, limits, courier = pipeline.execute()
        held = [as_text(key) for key in limits if as_text(key).startswith(f"{name}:")]
        with queue.redis.pipeline(transaction=False) as pipeline:
            for key in held:
                pipeline.zcard(RateLimitRegistry(key, connection=queue.redis).rate_limited_key)
            for key in workers:
                pipeline.hmget(key, "state", "last_heartbeat")
            answers = pipeline.execute()
    counted, seen = answers[: len(held)], answers[len(held) :]
    alive = [state for state, beat in seen if _is_fresh(beat, HEARD_WITHIN * queue.settings.lease)]
    busy = alive.count(_BUSY)
    return QueueState(
        jobs={"queued": waiting + moving, "held": sum(counted), "running": running},
        workers={"idle": len(alive) - busy, "busy": busy},
        oldest_seconds=_oldest([as_text(rq_id) for rq_id in front]),
        courier=bool(courier),
    )


def beat(queue: JobQueue) -> None:
    """A courier is there. Raises `QueueError`."""
    with redis_errors():
        seconds = HEARD_WITHIN * queue.settings.lease
        queue.redis.set(courier_key(queue.settings.name), "1", ex=seconds)


def courier_key(name: str) -> str:
    return f"safelora:courier:{name}"


def _is_fresh(beat: bytes | None, seconds: float) -> bool:
    """As RQ writes it."""
    try:
        moment = datetime.fromisoformat(as_text(cast(bytes, beat)).replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        return False
    return time.time() - moment.timestamp() < seconds


def _oldest(rq_ids: list[str]) -> float:
    """Builds of alignments do not say when they were asked for."""
    ages = [0.0]
    for rq_id in rq_ids:
        try:
            ages.append(time.time() - created_ms(rq_id) / 1000)
        except ValueError:
            continue
    return max(ages)
