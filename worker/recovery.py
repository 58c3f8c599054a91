"""Jobs whose worker died are given to another one. Needs Redis alone, and no torch.

Anybody may sweep at any time, several at once too: each job is taken in hand by one of them, since
removing an entry tells who removed it. What a sweeper that dies itself has in hand, reconciling
queues again.
"""

import logging
import time
from collections.abc import Callable
from typing import cast

from rq.exceptions import NoSuchJobError
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq.utils import parse_composite_key

from core.queue import JobQueue, as_text
from core.redis_errors import redis_errors

STUCK_SECONDS = 10.0  # from the queue into a worker's hands it takes milliseconds

_log = logging.getLogger(__name__)


def sweep(queue: JobQueue, on_death: Callable[[], object] = lambda: None) -> int:
    """Queue, in front, what a dead worker left; how many. Raises `QueueError`.

    One that has gone with as many workers as are allowed is left to `reconcile`, to be set aside.
    """
    with redis_errors():
        moved = _of_dead_workers(queue, on_death) + _stuck_on_the_way(queue)
        _tidy(queue)
        return moved


def _of_dead_workers(queue: JobQueue, on_death: Callable[[], object]) -> int:
    """Those whose lease has run out."""
    moved = 0
    started = queue.rq.started_job_registry.key
    for entry in cast(list[bytes], queue.redis.zrangebyscore(started, 0, time.time())):
        if queue.redis.zrem(started, entry) == 0:
            continue  # another sweeper has it
        rq_id, _ = parse_composite_key(as_text(entry))
        queue.redis.lrem(queue.rq.intermediate_queue_key, 0, rq_id)
        job = _unfinished(queue, rq_id)
        if job is not None:
            _forget_execution(queue, job, as_text(entry))
        if job is None or rq_id in queue.started():
            continue  # ended, or in the hands of another worker too
        queue.count_death(rq_id)
        on_death()
        if queue.is_deadly(rq_id):
            _log.error("job %s went with another worker: it is not run again", rq_id)
        else:
            _log.warning("the worker of job %s is silent: it is queued again", rq_id)
            queue.rq.enqueue_job(job, at_front=True)
            moved += 1
    return moved


def _stuck_on_the_way(queue: JobQueue) -> int:
    """Those that a worker took from the queue and never began."""
    moved = 0
    started = queue.started()
    way = queue.rq.intermediate_queue
    for rq_id in way.get_job_ids():
        if rq_id in started or way.set_first_seen(rq_id):
            continue
        seen = way.get_first_seen(rq_id)
        if seen is None or time.time() - seen.timestamp() < STUCK_SECONDS:
            continue
        if queue.redis.lrem(way.key, 0, rq_id) == 0:
            continue  # another sweeper has it, or the worker began
        queue.redis.delete(way.get_first_seen_key(rq_id))
        job = _unfinished(queue, rq_id)
        if job is not None:
            _log.warning("job %s was taken from the queue and not begun: it is put back", rq_id)
            queue.rq.enqueue_job(job, at_front=True)
            moved += 1
    return moved


def _forget_execution(queue: JobQueue, job: Job, entry: str) -> None:
    """Else the job's place among its tenant's would stay taken for a minute more."""
    with queue.redis.pipeline() as pipeline:
        Execution.from_composite_key(entry, queue.redis).delete(job, pipeline)
        pipeline.execute()


def _unfinished(queue: JobQueue, rq_id: str) -> Job | None:
    try:
        job = Job.fetch(rq_id, connection=queue.redis, serializer=JSONSerializer)
    except NoSuchJobError:
        return None  # Redis was wiped meanwhile: reconciling knows better
    under_way = job.get_status(refresh=False) in (JobStatus.QUEUED, JobStatus.STARTED)
    return job if under_way else None


def _tidy(queue: JobQueue) -> None:
    """What RQ's own maintenance does beside: lapsed entries go, freed places are given on."""
    queue.rq.finished_job_registry.cleanup()
    queue.rq.failed_job_registry.cleanup()
    for registry in queue.limits():
        registry.cleanup()
