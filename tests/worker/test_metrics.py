"""What a worker and a courier tell Prometheus of what they did."""

import time
from pathlib import Path
from threading import Event, Thread

import pytest
from redis import Redis

from core.alignments import AlignmentRecord
from core.errors import StoreError
from core.jobs import JobState
from core.observing.errands import CourierMetrics
from core.observing.process import FAMILIES as OF_ALL
from core.observing.work import FAMILIES
from core.queue_state import queue_state
from core.settings import RetentionSettings
from core.store.local import LocalStore
from core.store.settings import StoreSettings
from tests.metrics import Told, told
from tests.worker.service import Service, golden_files, make_service
from worker.courier import run_courier
from worker.interrupts import Drained
from worker.workshop import Workshop


@pytest.fixture
def service(local_store: LocalStore, redis: Redis, tmp_path: Path) -> Service:
    return make_service(local_store, StoreSettings(path=tmp_path / "store"), redis, tmp_path)


def seen(service: Service) -> Told:
    return told(service.tasks.workshop.metrics.registry)


def test_a_job_is_told_by_how_it_ended(service: Service) -> None:
    """With its stages, its modules, what it read and from where."""
    result = service.run(service.register())
    assert result.commit is not None
    found = seen(service)
    labels = {"state": "succeeded", "verdict": "projected", "alignment": "tiny"}
    assert found("safelora_jobs_ended_total", **labels) == 1
    assert found("safelora_job_duration_seconds_count", state="succeeded") == 1
    assert found("safelora_job_wait_seconds_count") == 1
    assert found("safelora_modules_judged_total") == result.commit.summary.modules
    assert found("safelora_alignment_builds_ended_total", state="ready") == 1
    stages = {s["stage"] for s in found.labels("safelora_job_stage_duration_seconds_count")}
    assert stages == set(result.timings) - {"total"}
    assert found("safelora_alignment_read_bytes_total", tier="disk") > 0
    used = found("safelora_tier_used_bytes", tier="ram")
    assert 0 < used <= found("safelora_tier_capacity_bytes", tier="ram")
    assert found("safelora_tier_used_bytes", tier="disk") > 0


def test_a_rejected_adapter_is_no_failure(service: Service, record: AlignmentRecord) -> None:
    """It is its sender's to mend: nobody is to be woken for it."""
    result = service.run(record, golden_files() | {"adapter_config.json": b"{}"})
    assert result.state is JobState.REJECTED
    found = seen(service)
    labels = {"state": "rejected", "verdict": "rejected", "alignment": "tiny"}
    assert found("safelora_jobs_ended_total", **labels) == 1
    assert not found.has("safelora_job_failures_total")


def test_a_failure_is_told_by_its_code(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And an attempt that is made again as put back, which is no end."""

    def failing(*_: object, **__: object) -> None:
        raise StoreError("odd", code="range_outside")

    monkeypatch.setattr(Workshop, "alignment", failing)
    assert service.run(record).state is JobState.FAILED
    found = seen(service)
    attempts = service.queue.settings.attempts
    assert found("safelora_jobs_put_back_total", reason="failed") == attempts - 1
    assert found("safelora_job_failures_total", code="range_outside") == 1
    labels = {"state": "failed", "verdict": "none", "alignment": "tiny"}
    assert found("safelora_jobs_ended_total", **labels) == 1


def test_what_goes_back_undone_costs_no_attempt(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is told apart: a worker that was told to stop is no fault."""
    service.accept(record)

    def drained(*_: object, **__: object) -> None:
        service.tasks.interrupts.drain.set()
        raise Drained

    monkeypatch.setattr(Workshop, "alignment", drained)
    service.worker().work(burst=True, max_jobs=1, logging_level="WARNING")
    assert seen(service)("safelora_jobs_put_back_total", reason="drained") == 1


def test_all_that_is_declared_is_exported(service: Service) -> None:
    """By a worker on a CPU, which has no device to tell of."""
    exported = {family.name for family in seen(service).families}
    declared = {family.name.removesuffix("_total") for family in (*FAMILIES, *OF_ALL)}
    store = {"safelora_store_call_duration_seconds", "safelora_store_errors"}
    assert declared - exported <= store  # of a process, whose store is watched


def test_a_courier_tells_of_its_rounds(service: Service, record: AlignmentRecord) -> None:
    """That it is there, in Redis; when each duty was last done, and what it found, itself."""
    service.accept(record, enqueue=False)
    metrics, stop = CourierMetrics(), Event()
    start = time.time()
    assert not queue_state(service.queue).courier
    courier = Thread(
        target=run_courier,
        args=(service.records, service.queue, RetentionSettings(), stop),
        kwargs={"metrics": metrics},
    )
    courier.start()
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and len(service.queue.rq.job_ids) == 0:
            time.sleep(0.02)
    finally:
        stop.set()
        courier.join()
    assert queue_state(service.queue).courier
    found = told(metrics.registry)
    assert found("safelora_jobs_requeued_total") == 1
    for duty in ("sweep", "reconcile", "expire"):
        assert found("safelora_courier_rounds_total", duty=duty, outcome="done") >= 1
        assert found("safelora_courier_last_round_timestamp_seconds", duty=duty) >= start


def test_what_a_rule_waits_for_is_told_from_the_start() -> None:
    """As 0: of the first that comes out of nothing Prometheus would see no increase."""
    found = told(CourierMetrics().registry)
    codes = {labels["code"] for labels in found.labels("safelora_jobs_set_aside_total")}
    assert codes == {"workers_lost", "attempts_exhausted"}
    assert {found("safelora_jobs_set_aside_total", code=code) for code in codes} == {0}


def test_a_round_that_fails_is_no_round() -> None:
    """The time since the last one goes on, and a rule sees it."""
    metrics = CourierMetrics()
    before = told(metrics.registry)("safelora_courier_last_round_timestamp_seconds", duty="sweep")
    with pytest.raises(StoreError), metrics.round("sweep"):
        raise StoreError("away")
    found = told(metrics.registry)
    assert found("safelora_courier_rounds_total", duty="sweep", outcome="failed") == 1
    assert found("safelora_courier_last_round_timestamp_seconds", duty="sweep") == before
