"""Spans of a job that is tried again, and of one whose end is to be told."""

from pathlib import Path

import pytest
from redis import Redis

from core.alignments import AlignmentRecord
from core.errors import StoreError
from core.jobs import JobState
from core.store.local import LocalStore
from core.store.settings import StoreSettings
from tests.tracing import traced
from tests.worker.service import Service, make_service
from worker.workshop import Workshop


@pytest.fixture
def service(local_store: LocalStore, redis: Redis, tmp_path: Path) -> Service:
    return make_service(local_store, StoreSettings(path=tmp_path / "store"), redis, tmp_path)


def test_every_attempt_is_a_part_of_one_trace(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Side by side under what queued the job, with what went wrong in each."""

    def failing(*_: object, **__: object) -> None:
        raise StoreError("odd", code="range_outside")

    monkeypatch.setattr(Workshop, "alignment", failing)
    with traced() as exporter:
        assert service.run(record).state is JobState.FAILED
    spans = exporter.get_finished_spans()
    [enqueue] = [span for span in spans if span.name == "enqueue"]
    attempts = [span for span in spans if span.name == "job"]
    assert len(attempts) == service.queue.settings.attempts
    assert {span.parent and span.parent.span_id for span in attempts} == {enqueue.context.span_id}
    left = [(span.attributes or {})["safelora.attempts_left"] for span in attempts]
    assert left == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("is_traced", [True, False])
def test_a_delivery_knows_what_ended_its_job(
    service: Service, record: AlignmentRecord, is_traced: bool
) -> None:
    """Where that was traced; else nothing new is stored, for versions that know no such thing."""
    request = service.accept(record, callback_url="https://platform.example/told")
    if is_traced:
        with traced():
            service.work()
    else:
        service.work()
    [delivery] = service.records.outbox.of_job(request.tenant, request.id)
    assert (delivery.traceparent is not None) == is_traced
    assert (b"traceparent" in delivery.as_bytes()) == is_traced
