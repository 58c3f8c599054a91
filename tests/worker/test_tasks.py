"""The worker on a real queue, with results in a folder and on S3 alike."""

import json
import shutil
import time
from pathlib import Path

import pytest
import torch
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer
from safetensors.torch import save

from core.alignments import MANIFEST_FILE, AlignmentRecord, Manifest
from core.errors import StoreError
from core.jobs import JobState
from core.policy import Policy
from core.store import layout
from core.store.base import ObjectStore
from tests.worker.service import TENANT, Service, golden_files
from worker.courier import reconcile


def test_an_adapter_ends_projected_with_its_files_in_the_store(
    service: Service, record: AlignmentRecord
) -> None:
    """A succeeded job names files that are there, of the size it states, and is not pending."""
    result = service.run(record)
    assert result.state is JobState.SUCCEEDED
    assert result.commit is not None
    assert result.commit.verdict == "projected"
    assert result.commit.summary.projected == 58
    for file in result.commit.files:
        key = layout.output(TENANT, result.commit.recipe, result.commit.output, file.name)
        assert len(service.store.get(key)) == file.size
    assert list(service.records.pending()) == []
    assert {
        "fetch",
        "check",
        "read",
        "align",
        "score",
        "project",
        "write",
        "verify",
        "publish",
    } <= (result.timings.keys())


def test_a_rejected_adapter_publishes_its_findings_and_no_tensor(
    service: Service, record: AlignmentRecord
) -> None:
    """`rejected` carries the findings; the result holds a report and no adapter file."""
    files = golden_files()
    files["adapter_config.json"] = files["adapter_config.json"].replace(
        b'"use_dora": false', b'"use_dora": true'
    )
    result = service.run(record, files)
    assert result.state is JobState.REJECTED
    assert result.commit is not None
    assert [f.code for f in result.commit.findings] == ["dora"]
    assert {f.name for f in result.commit.files} == {"report.json", "report.html"}


def test_a_job_shows_a_few_findings_and_its_report_all(
    service: Service, record: AlignmentRecord
) -> None:
    """Thousands of findings do not travel with every answer: the first of each kind do."""
    files = golden_files()
    tensors = {f"stranger.{n}.weight": torch.zeros(1) for n in range(200)}
    tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"] = torch.zeros(4, 32)
    files["adapter_model.safetensors"] = save(tensors)
    result = service.run(record, files)
    commit = result.commit
    assert commit is not None
    assert commit.findings_total == 201
    assert len(commit.findings) == 25
    assert {f.code for f in commit.findings} == {"base_overwrite", "unpaired_tensor"}
    key = layout.output(TENANT, commit.recipe, commit.output, "report.json")
    assert len(json.loads(service.store.get(key))["findings"]) == 201


def test_a_scoring_policy_publishes_a_report_only(
    service: Service, record: AlignmentRecord
) -> None:
    """Selection `none` succeeds as `scored`, and there is no adapter to download."""
    policy = Policy.model_validate({"selection": {"mode": "none"}})
    result = service.run(record, policy=policy)
    assert result.commit is not None
    assert result.commit.verdict == "scored"
    assert {f.name for f in result.commit.files} == {"report.json", "report.html"}


def test_the_same_recipe_again_takes_the_first_result(
    service: Service, record: AlignmentRecord
) -> None:
    """Same bytes, alignment and policy: the second job names the first one's output."""
    first, second = service.run(record), service.run(record)
    assert first.commit == second.commit


def test_warm_modules_are_not_read_again(service: Service, record: AlignmentRecord) -> None:
    """A second policy on the same alignment reads no module's file."""
    service.run(record)
    assert record.id is not None
    cache = service.tasks.workshop.settings.alignments.cache / record.id
    for file in cache.glob("*.safetensors"):
        file.unlink()
    result = service.run(record, policy=Policy.model_validate({"selection": {"mode": "all"}}))
    assert result.state is JobState.SUCCEEDED
    assert not list(cache.glob("*.safetensors"))


def test_a_damaged_copy_on_disk_is_fetched_again(service: Service, record: AlignmentRecord) -> None:
    """One flipped byte in a cached file changes no result: the copy is dropped and replaced."""
    assert record.id is not None
    shard = service.tasks.workshop.settings.alignments.cache / record.id
    damaged = next(shard.glob("*.safetensors"))
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    assert service.run(record).state is JobState.SUCCEEDED
    assert damaged.read_bytes() != bytes(data)


def test_a_damaged_alignment_is_mended_by_registering_the_pair_again(
    service: Service, record: AlignmentRecord
) -> None:
    """Damage in the store fails jobs with a code, and another build of the pair puts it right."""
    assert record.id is not None
    cache = service.tasks.workshop.settings.alignments.cache / record.id
    manifest = Manifest.model_validate_json((cache / MANIFEST_FILE).read_bytes())
    for name in manifest.files:
        service.store.put(layout.alignment(record.id, name), b"damaged")
        (cache / name).unlink()
    failed = service.run(record)
    assert failed.error is not None
    assert failed.error.code == "alignment_damaged"
    again = service.register("again")
    assert again.id == record.id
    assert service.run(record).state is JobState.SUCCEEDED


def test_an_accepted_job_outlives_its_alignments_name(
    service: Service, record: AlignmentRecord
) -> None:
    """Removing a name takes nothing from jobs that pinned the id, even on a cold worker."""
    service.records.remove_alignment(record.name)
    assert record.id is not None
    shutil.rmtree(service.tasks.workshop.settings.alignments.cache / record.id)
    assert service.run(record).state is JobState.SUCCEEDED


def test_only_listed_tasks_run(service: Service, redis: Redis, tmp_path: Path) -> None:
    """A job on the queue that names another function is never run, importable or not."""
    target = tmp_path / "made-by-a-stranger"
    queue = Queue("test", connection=redis, serializer=JSONSerializer)
    queue.enqueue_call("os.mkdir", args=[str(target)])
    service.work()
    assert not target.exists()


def test_a_store_that_fails_once_costs_an_attempt_only(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transient error is tried again, and the job still succeeds."""
    fetch, calls = type(service.store).get_file, []

    def failing_once(self: ObjectStore, key: str, path: Path, *, etag: str | None = None) -> str:
        calls.append(key)
        if len(calls) == 1:
            raise StoreError("the store is away")
        return fetch(self, key, path, etag=etag)

    monkeypatch.setattr(type(service.store), "get_file", failing_once)
    assert service.run(record).state is JobState.SUCCEEDED


def test_a_store_that_stays_away_fails_the_job_with_its_code(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When attempts are spent the job is failed, says why, and nothing is published."""

    def failing(*_: object, **__: object) -> str:
        raise StoreError("the store is away")

    monkeypatch.setattr(type(service.store), "get_file", failing)
    result = service.run(record)
    assert result.state is JobState.FAILED
    assert result.error is not None
    assert (result.error.code, result.commit) == ("store_unavailable", None)


def test_a_job_that_takes_too_long_fails_and_says_so(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job past its timeout is failed with a code of its own, and nothing is published."""
    monkeypatch.setattr(type(service.store), "get_file", lambda *_, **__: time.sleep(30))
    request = service.accept(record, enqueue=False)
    service.queue.settings = service.queue.settings.model_copy(update={"job_timeout": 1})
    service.queue.submit_job(request)
    service.work()
    result = service.result(request)
    assert result is not None
    assert result.error is not None
    assert (result.state, result.error.code) == (JobState.FAILED, "job_timeout")


def test_input_that_changed_in_the_store_fails_closed(
    service: Service, record: AlignmentRecord
) -> None:
    """Input whose SHA-256 is no longer the accepted one is not processed."""
    request = service.accept(record, enqueue=False)
    key = layout.job_input(TENANT, request.id, "adapter_config.json")
    service.store.put(key, b"{}")
    service.queue.submit_job(request)
    service.work()
    result = service.result(request)
    assert result is not None
    assert result.error is not None
    assert result.error.code == "input_changed"


def test_reconcile_queues_what_redis_forgot(
    service: Service, record: AlignmentRecord, redis: Redis
) -> None:
    """Accepted jobs survive a wiped Redis: they are queued again, once, and end."""
    request = service.accept(record, enqueue=False)
    assert reconcile(service.records, service.queue) == 1
    assert reconcile(service.records, service.queue) == 0
    redis.flushall()
    assert reconcile(service.records, service.queue) == 1
    service.work()
    result = service.result(request)
    assert result is not None
    assert result.state is JobState.SUCCEEDED


def test_a_record_nobody_can_read_holds_up_no_other(
    service: Service, record: AlignmentRecord
) -> None:
    """Reconciling passes over a broken request and queues the job behind it."""
    broken = service.accept(record, enqueue=False)
    service.store.put(layout.job_request(TENANT, broken.id), b"{")
    good = service.accept(record, enqueue=False)
    assert reconcile(service.records, service.queue) == 1
    service.work()
    assert service.result(good) is not None


def test_a_job_answered_by_an_earlier_result_needs_no_input(
    service: Service, record: AlignmentRecord
) -> None:
    """The input of such a job is not stored; whoever runs it after a crash still ends it."""
    first = service.run(record)
    request = service.accept(record, enqueue=False)
    bare = [file.model_copy(update={"key": None}) for file in request.files]
    stored = request.model_copy(update={"files": bare})
    service.store.put(layout.job_request(TENANT, request.id), stored.as_bytes())
    reconcile(service.records, service.queue)
    service.work()
    result = service.result(request)
    assert result is not None
    assert result.commit == first.commit


def test_a_drained_job_keeps_its_attempts(service: Service, record: AlignmentRecord) -> None:
    """Shutting a worker down puts the job back without spending one of its attempts."""
    request = service.accept(record)
    for _ in range(service.queue.settings.attempts + 1):
        service.tasks.interrupts.drain.set()
        worker = service.worker()
        worker.work(max_jobs=1, logging_level="WARNING")
    service.tasks.interrupts.drain.clear()
    service.work()
    result = service.result(request)
    assert result is not None
    assert result.state is JobState.SUCCEEDED


def test_a_drained_job_keeps_its_turn(service: Service, record: AlignmentRecord) -> None:
    """It goes back to the front of the queue, not behind all that came since."""
    first, _ = service.accept(record), service.accept(record)
    service.tasks.interrupts.drain.set()
    service.worker().work(max_jobs=1, logging_level="WARNING")
    assert service.queue.rq.job_ids[0] == first.id


def test_a_store_that_is_away_costs_no_attempt(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a worker tries: the job is as it was when the store is back."""
    request = service.accept(record)

    def away(*_: object, **__: object) -> None:
        raise StoreError("the store is away")

    monkeypatch.setattr(service.tasks, "rest", lambda: None)
    with monkeypatch.context() as patched:
        for method in ("get", "get_file", "check"):
            patched.setattr(type(service.store), method, away)
        for _ in range(service.queue.settings.attempts + 1):
            service.worker().work(max_jobs=1, logging_level="WARNING")
    assert service.result(request) is None
    service.work()
    result = service.result(request)
    assert result is not None
    assert result.state is JobState.SUCCEEDED


def test_a_worker_takes_no_job_while_the_store_is_away(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks the store until that answers, and then goes on."""
    service.accept(record)
    answers = iter([False, False, False, True])
    asked = []

    def check(_: ObjectStore) -> None:
        asked.append(service.queue.rq.count)
        if not next(answers):
            raise StoreError("the store is away")

    def away(*_: object, **__: object) -> str:
        raise StoreError("the store is away")

    monkeypatch.setattr("worker.tasks.REST_SECONDS", 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(type(service.store), "check", check)
        patched.setattr(type(service.store), "get_file", away)
        service.worker().work(max_jobs=1, logging_level="WARNING")
    assert asked[1:] == [1, 1, 1]


def test_a_cancelled_job_ends_as_cancelled(service: Service, record: AlignmentRecord) -> None:
    """The cancel flag stops a job at its next module, and nothing is published."""
    request = service.accept(record, enqueue=False)
    service.tasks.interrupts.cancel.set()
    service.tasks.sanitize(tenant=TENANT, job_id=request.id, attempts_left=0)
    result = service.result(request)
    assert result is not None
    assert (result.state, result.commit) == (JobState.CANCELLED, None)


def test_results_hold_no_trace_of_job_time_or_machine(
    service: Service, record: AlignmentRecord, tmp_path: Path
) -> None:
    """Two stores, two jobs, two folders: the same recipe gives byte-identical files."""
    result = service.run(record)
    assert result.commit is not None
    key = layout.output(TENANT, result.commit.recipe, result.commit.output, "report.json")
    text = service.store.get(key).decode()
    report = json.loads(text)
    assert report["schema"] == "safelora-gate/report/1"
    assert str(tmp_path) not in text
    assert result.finished_at[:10] not in text
