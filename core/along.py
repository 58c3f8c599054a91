"""Which jobs that wait a worker may take along: those for the alignment that it is at work with."""

import math
from typing import Final

from rq.job import Job as RQJob
from rq.serializers import JSONSerializer
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from core.queue import ALIGNMENT, BYTES, JobQueue, as_text, deaths_key
from core.redis_errors import redis_errors

LOOKED_AT: Final = 64  # of those that wait, from the front
CLAIMED_SECONDS: Final = 600  # no two workers take the same one along


def take_along(
    queue: JobQueue, rq_id: str, alignment_id: str, *, most: int, largest: int
) -> list[tuple[str, str]]:
    """Tenant and id of up to `most` jobs that wait for this alignment, of `largest` bytes at most.
    They stay in the queue: what is made of them beside job `rq_id` is there when their turn comes.

    Not those that other workers will have begun by then, nor any that a worker died with; none at
    all if one died with `rq_id`, or if no job may go with two workers. Raises `QueueError`.
    """
    if queue.settings.deaths < 2:
        return []
    with redis_errors():
        ids = _next(queue, rq_id)
        if not ids:
            return []
        found = RQJob.fetch_many(ids, connection=queue.redis, serializer=JSONSerializer)
        alike = [
            job
            for job in found
            if job
            and job.meta.get(ALIGNMENT) == alignment_id
            and job.meta.get(BYTES, math.inf) <= largest
        ]
        taken: list[tuple[str, str]] = []
        for job in _unhurt(queue, alike):
            if len(taken) < most and _claim(queue, job.id):
                taken.append((job.kwargs["tenant"], job.id))
        return taken


def _next(queue: JobQueue, rq_id: str) -> list[str]:
    """Those that wait, without as many as there are other workers; none after a death."""
    with queue.redis.pipeline(transaction=False) as pipeline:
        pipeline.lrange(queue.rq.key, 0, LOOKED_AT - 1)
        pipeline.scard(WORKERS_BY_QUEUE_KEY % queue.rq.name)
        pipeline.exists(deaths_key(rq_id))
        waiting, workers, died = pipeline.execute()
    ids = [as_text(each) for each in waiting[max(0, workers - 1) :]]
    return [] if died else [each for each in ids if each != rq_id]


def _unhurt(queue: JobQueue, jobs: list[RQJob]) -> list[RQJob]:
    with queue.redis.pipeline(transaction=False) as pipeline:
        for job in jobs:
            pipeline.exists(deaths_key(job.id))
        return [job for job, died in zip(jobs, pipeline.execute(), strict=True) if not died]


def _claim(queue: JobQueue, rq_id: str) -> bool:
    return bool(queue.redis.set(f"safelora:along:{rq_id}", 1, nx=True, ex=CLAIMED_SECONDS))
