"""Jobs of dead workers, and those that kill them."""

import time
from threading import Event, Thread
from typing import cast

import pytest
from redis import Redis
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from core.alignments import AlignmentRecord
from core.jobs import JobRequest, JobState
from core.queue import JobQueue
from core.records import Records
from core.settings import RetentionSettings
from tests.worker.service import Service
from worker.courier import reconcile, run_courier
from worker.recovery import STUCK_SECONDS, sweep


def taken(service: Service, request: JobRequest) -> None:
    """Takes the job from the queue and begins it, as a worker that then dies would."""
    worker = service.worker()
    worker.register_birth()  # type: ignore[no-untyped-call]
    found = worker.dequeue_job_and_maintain_ttl(timeout=None)
    assert found is not None
    job, _ = found
    assert job.id == request.id
    worker.prepare_execution(job)
    worker.prepare_job_execution(job, remove_from_intermediate_queue=True)


def lease_runs_out(redis: Redis, queue: JobQueue) -> None:
    key = queue.rq.started_job_registry.key
    for entry in cast(list[bytes], redis.zrange(key, 0, -1)):
        redis.zadd(key, {entry: time.time() - 1})


def test_a_dead_workers_job_goes_to_another(
    service: Service, record: AlignmentRecord, redis: Redis
) -> None:
    """Once its lease has run out, and not before; it keeps its attempts."""
    request = service.accept(record)
    taken(service, request)
    assert sweep(service.queue) == 0
    lease_runs_out(redis, service.queue)
    assert sweep(service.queue) == 1
    job = Job.fetch(request.id, connection=redis, serializer=JSONSerializer)
    assert job.retries_left == service.queue.settings.attempts - 1
    service.work()
    result = service.result(request)
    assert result is not None
    assert result.state is JobState.SUCCEEDED


def test_of_two_sweepers_one_takes_it_in_hand(
    service: Service, record: AlignmentRecord, redis: Redis
) -> None:
    """A death is counted once, and the job is queued once."""
    request = service.accept(record)
    taken(service, request)
    lease_runs_out(redis, service.queue)
    assert [sweep(service.queue), sweep(service.queue)] == [1, 0]
    assert service.queue.rq.job_ids == [request.id]
    assert not service.queue.is_deadly(request.id)


def test_a_job_that_kills_its_workers_is_set_aside(
    service: Service, record: AlignmentRecord, redis: Redis
) -> None:
    """After the second death no worker gets it, and the job says why, with a finding."""
    request = service.accept(record)
    for _ in range(service.queue.settings.deaths):
        taken(service, request)
        lease_runs_out(redis, service.queue)
        sweep(service.queue)
    assert service.queue.rq.job_ids == []
    assert reconcile(service.records, service.queue) == 0
    result = service.result(request)
    assert result is not None
    assert result.error is not None
    assert (result.state, result.error.code) == (JobState.FAILED, "workers_lost")
    assert [found.code for found in result.findings] == ["workers_lost"]
    assert list(service.records.pending()) == []


def test_a_job_run_twice_at_once_is_not_queued_a_third_time(
    service: Service, record: AlignmentRecord, redis: Redis
) -> None:
    """Where one of its two workers lives, the other's death costs nothing."""
    request = service.accept(record)
    taken(service, request)
    lease_runs_out(redis, service.queue)
    job = Job.fetch(request.id, connection=redis, serializer=JSONSerializer)
    with redis.pipeline() as pipeline:
        Execution.create(job, ttl=60, pipeline=pipeline, worker_name="alive")
        pipeline.execute()
    assert sweep(service.queue) == 0
    assert reconcile(service.records, service.queue) == 0


def test_what_is_lost_between_queue_and_worker_is_put_back(
    service: Service, record: AlignmentRecord, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker killed between taking a job and beginning it leaves it where the sweep looks."""
    request = service.accept(record)
    queue = service.queue.rq
    redis.lmove(queue.key, queue.intermediate_queue_key)
    assert sweep(service.queue) == 0
    assert reconcile(service.records, service.queue) == 0
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + STUCK_SECONDS + 1)
    assert sweep(service.queue) == 1
    assert queue.job_ids == [request.id]
    assert redis.llen(queue.intermediate_queue_key) == 0


@pytest.mark.parametrize("status", [JobStatus.STARTED, JobStatus.QUEUED, JobStatus.FINISHED])
def test_a_job_that_only_looks_alive_is_queued_again(
    service: Service, record: AlignmentRecord, redis: Redis, status: JobStatus
) -> None:
    """Reconciling does not believe a job's hash: somebody must hold the job."""
    request = service.accept(record)
    redis.delete(service.queue.rq.key)
    job = Job.fetch(request.id, connection=redis, serializer=JSONSerializer)
    job.set_status(status)
    assert reconcile(service.records, service.queue) == 1
    assert reconcile(service.records, service.queue) == 0
    service.work()
    assert service.result(request) is not None


def test_a_hundred_jobs_outlive_a_wiped_redis(
    service: Service, record: AlignmentRecord, redis: Redis
) -> None:
    """All are queued again, each once."""
    accepted = {service.accept(record).id for _ in range(100)}
    redis.flushall()
    assert reconcile(service.records, service.queue) == 100
    assert sorted(service.queue.rq.job_ids) == sorted(accepted)


def test_a_tenant_has_so_many_on_their_way(service: Service, record: AlignmentRecord) -> None:
    """The others wait, are known to be there, and come when a place is free."""
    settings = service.queue.settings.model_copy(update={"tenant_concurrency": 2})
    service.queue.settings = settings
    requests = [service.accept(record) for _ in range(5)]
    assert service.queue.rq.count == 2
    assert service.queue.depth() == 5
    assert reconcile(service.records, service.queue) == 0
    service.work()
    assert all(service.result(request) is not None for request in requests)


def test_a_dead_workers_place_is_given_on(
    service: Service, record: AlignmentRecord, redis: Redis
) -> None:
    """With room for one job of a tenant, a death blocks neither that job nor the next."""
    settings = service.queue.settings.model_copy(update={"tenant_concurrency": 1})
    service.queue.settings = settings
    first, second = service.accept(record), service.accept(record)
    taken(service, first)
    lease_runs_out(redis, service.queue)
    sweep(service.queue)
    sweep(service.queue)
    service.work()
    assert service.result(first) is not None
    assert service.result(second) is not None


def test_a_slow_store_holds_up_no_recovery(
    service: Service, record: AlignmentRecord, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The courier sweeps although it waits for the store at the same time."""
    request = service.accept(record)
    taken(service, request)
    lease_runs_out(redis, service.queue)
    stop, answer = Event(), Event()
    monkeypatch.setattr(Records, "pending", lambda _: iter([]) if answer.wait(30) else None)
    courier = Thread(
        target=run_courier, args=(service.records, service.queue, RetentionSettings(), stop)
    )
    courier.start()
    try:
        deadline = time.monotonic() + 20
        while service.queue.rq.job_ids != [request.id]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        answer.set()
        stop.set()
        courier.join(20)
    assert not courier.is_alive()
