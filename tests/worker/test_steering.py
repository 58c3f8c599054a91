"""A worker and a job that others steer, with results in a folder and on S3 alike."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, cast

import pytest

from core.alignments import AlignmentRecord
from core.errors import QueueError, StoreError
from core.events import JobEvent, StreamEntry, read_event, stream_key
from core.jobs import JobRequest, JobResult, JobState, now
from core.store import layout
from tests.worker.service import TENANT, Service
from worker import following
from worker.adapter.model import LoraModule
from worker.alignment.parallel import usual_workers
from worker.courier import reconcile
from worker.interrupts import Cancelled, Drained
from worker.judge import score_modules


def cancel(service: Service, request: JobRequest, *, telling: bool = True) -> None:
    """As the API does it; without `telling` while Redis is away."""
    word = JobResult(state=JobState.CANCELLED, finished_at=now())
    service.records.finish(request.tenant, request.id, word)
    if telling:
        service.queue.withdraw(request.id)
        service.queue.events.ended(request.id)


def events_of(service: Service, request: JobRequest) -> list[JobEvent]:
    """What those who follow the job are told."""
    entries = cast(list[StreamEntry], service.redis.xrange(stream_key(request.id)))
    return [event for event in map(read_event, entries) if event is not None]


def told(service: Service, request: JobRequest) -> list[str]:
    return [event.kind for event in events_of(service, request)]


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules that were judged; `at_module` puts something between."""
    monkeypatch.setattr(following, "TELL_EVERY", 0.0)
    return []


@pytest.fixture
def at_module(
    judged: list[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[int, Callable[[], None]], None]:
    """Have something happen while the worker is at one module; those beside it wait for that."""
    happening = Lock()

    def arrange(number: int, happen: Callable[[], None]) -> None:
        def scoring(modules: Sequence[LoraModule], *others: Any) -> Any:
            with happening:
                judged.append(modules[0].alignment_name)
                if len(judged) == number:
                    happen()
            return score_modules(modules, *others)

        monkeypatch.setattr("worker.judging.score_modules", scoring)

    return arrange


AtModule = Callable[[int, Callable[[], None]], None]


def test_cancelled_job_stops_at_the_next_module(
    service: Service, record: AlignmentRecord, judged: list[str], at_module: AtModule
) -> None:
    """None is begun after it, nothing is published, and the worker takes the next job."""
    request, other = service.accept(record), service.accept(record)
    at_module(3, lambda: cancel(service, request))
    service.worker().work(max_jobs=1, burst=True, logging_level="WARNING")
    assert 3 <= len(judged) < 3 + usual_workers()  # those beside it come to their end
    result = service.result(request)
    assert result is not None
    assert (result.state, result.started_at) == (JobState.CANCELLED, None)  # the API's own word
    assert list(service.store.list(layout.results(TENANT))) == []
    service.work()
    following_one = service.result(other)
    assert following_one is not None
    assert following_one.state is JobState.SUCCEEDED


def test_cancel_that_redis_never_heard_of_stops_the_worker(
    service: Service,
    record: AlignmentRecord,
    judged: list[str],
    at_module: AtModule,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It looks into the store as well, now and then."""
    monkeypatch.setattr(following, "LOOK_EVERY", 0.0)
    request = service.accept(record)
    at_module(3, lambda: cancel(service, request, telling=False))
    service.work()
    assert 3 <= len(judged) < 3 + usual_workers()  # those beside it come to their end
    assert list(service.store.list(layout.results(TENANT))) == []


def test_store_that_is_away_for_that_look_stops_nobody(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job goes on; what it comes to is judged when it ends."""
    monkeypatch.setattr(following, "TELL_EVERY", 0.0)
    request = service.accept(record)
    line = following.JobLine(service.queue, service.records, TENANT, request.id)
    cancel(service, request)
    monkeypatch.setattr(following, "LOOK_EVERY", 0.0)

    def away(*_: object, **__: object) -> bytes:
        raise StoreError("the store is away")

    with monkeypatch.context() as patched:
        patched.setattr(type(service.store), "get", away)
        line.check()
    with pytest.raises(Cancelled):
        line.check()


def test_mark_without_an_end_in_the_store_stops_nobody(
    service: Service, record: AlignmentRecord, judged: list[str], at_module: AtModule
) -> None:
    """Redis only hastens: whoever writes into it cancels no job."""
    request = service.accept(record)
    at_module(2, lambda: service.queue.events.ended(request.id))
    service.work()
    result = service.result(request)
    assert result is not None
    assert result.state is JobState.SUCCEEDED
    assert len(judged) > 3


def test_cancel_after_the_last_module_stands(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker came to an end, too late: the job shows no result."""
    request = service.accept(record)
    finish = type(service.records).finish

    def cancelled_first(
        records: Any, tenant: str, job_id: str, result: JobResult, **others: Any
    ) -> JobResult:
        word = JobResult(state=JobState.CANCELLED, finished_at=now())
        finish(records, tenant, job_id, word)
        return finish(records, tenant, job_id, result, **others)

    monkeypatch.setattr(type(service.records), "finish", cancelled_first)
    service.work()
    result = service.result(request)
    assert result is not None
    assert (result.state, result.commit) == (JobState.CANCELLED, None)
    assert list(service.records.pending()) == []


def test_job_removed_while_it_runs_leaves_nothing(
    service: Service, record: AlignmentRecord, at_module: AtModule
) -> None:
    """Cancelled and removed at once: the worker brings no record back."""

    def cancel_and_remove() -> None:
        cancel(service, request, telling=False)
        service.records.remove(TENANT, request.id)

    request = service.accept(record)
    at_module(3, cancel_and_remove)
    service.work()
    assert list(service.store.list(layout.job(TENANT, request.id))) == []
    assert list(service.records.pending()) == []


def test_cancelled_job_that_is_delivered_all_the_same_is_not_run(
    service: Service, record: AlignmentRecord, judged: list[str], at_module: AtModule
) -> None:
    """Taking it off the queue may fail; then the worker finds that it has ended."""
    request = service.accept(record)
    cancel(service, request, telling=False)
    at_module(1, lambda: None)
    service.work()
    assert judged == []
    result = service.result(request)
    assert result is not None
    assert result.state is JobState.CANCELLED


def test_followers_are_told_of_every_turn(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queued, taken, each step, ended; put back it is queued again."""
    monkeypatch.setattr(following, "TELL_EVERY", 0.0)
    request = service.accept(record)
    service.tasks.interrupts.drain.set()
    service.worker().work(max_jobs=1, logging_level="WARNING")
    service.tasks.interrupts.drain.clear()
    assert told(service, request) == ["queued", "running", "queued"]
    service.work()
    kinds = told(service, request)
    assert kinds[3] == "running"
    assert set(kinds[4:-1]) == {"progress"}
    assert kinds[-1] == "ended"
    stages = {e.progress.stage for e in events_of(service, request) if e.progress}
    assert stages == {"fetch", "score", "write", "verify", "publish"}


def test_events_lapse(service: Service, record: AlignmentRecord) -> None:
    """They are kept for a while, whatever becomes of the job; less long once it has ended."""
    request = service.accept(record)
    waiting = service.redis.ttl(stream_key(request.id))
    service.work()
    ended = service.redis.ttl(stream_key(request.id))
    assert 0 < ended <= 3600 < waiting <= 24 * 3600


def test_job_that_is_set_aside_is_told_to_have_ended(
    service: Service, record: AlignmentRecord
) -> None:
    """By the courier, which has the last word of it."""
    request = service.accept(record)
    service.redis.delete(service.queue.rq.key)
    service.redis.hset(f"rq:job:{request.id}", "status", "failed")
    assert reconcile(service.records, service.queue) == 0
    assert told(service, request) == ["queued", "ended"]


def test_job_in_a_workers_hands_is_not_withdrawn(service: Service, record: AlignmentRecord) -> None:
    """Its lease is the worker's to end."""
    request = service.accept(record)
    service.redis.lmove(service.queue.rq.key, service.queue.rq.intermediate_queue_key)
    service.queue.withdraw(request.id)
    assert service.redis.exists(f"rq:job:{request.id}")


def test_redis_that_fails_stops_no_job(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told, and the job ends as ever."""

    def failing(*_: object, **__: object) -> bool:
        raise QueueError("Redis is away")

    request = service.accept(record)
    for method in ("running", "queued", "ended"):
        monkeypatch.setattr(type(service.queue.events), method, failing)
    service.work()
    result = service.result(request)
    assert result is not None
    assert result.state is JobState.SUCCEEDED


def test_a_failure_of_ours_passes_through_as_it_is(service: Service) -> None:
    """What ends a task is not swallowed by telling of it."""
    line = following.Line(service.queue, "some-task")
    with (
        pytest.raises(Drained),
        following.following(line, service.tasks.interrupts),
    ):
        raise Drained
