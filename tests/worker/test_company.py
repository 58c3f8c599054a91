"""Jobs that wait for one alignment are judged in one pass over it, and each ends as it would."""

import math
from pathlib import Path
from typing import Any

import pytest
from rq.timeouts import JobTimeoutException

from core.alignments import AlignmentRecord
from core.jobs import Commit, JobRequest, JobResult, JobState, now
from core.policy import Policy
from core.report import Report
from tests.worker.making import GOLDEN
from tests.worker.service import Service, golden_files
from worker import company
from worker.adapter import Adapter, AdapterFiles
from worker.following import JobLine
from worker.judge import Judged, score_modules
from worker.judging import Case, judge_all, judge_one
from worker.pipeline import BaseNames, Order, conclude, read
from worker.publishing import committed
from worker.tracking import Tracker

pytestmark = pytest.mark.usefixtures("worth_sharing")

THRESHOLDS = [0.2, 0.35, 0.5, 0.9]
WITHOUT_V = {"method": "zero", "scores": "spectrum", "selection": {"mode": "all"}}


def policy(threshold: float, **fields: Any) -> Policy:
    selection = {"mode": "threshold", "threshold": threshold}
    return Policy.model_validate({"selection": selection, **fields})


def waiting(service: Service, record: AlignmentRecord) -> list[JobRequest]:
    """One job for each threshold, in the queue."""
    return [service.accept(record, policy=policy(threshold)) for threshold in THRESHOLDS]


def run_one(service: Service) -> None:
    service.worker().work(max_jobs=1, burst=True, logging_level="WARNING")


def results(service: Service, requests: list[JobRequest]) -> list[Commit | None]:
    """What each would be answered from."""
    workshop = service.tasks.workshop
    return [
        committed(r, workshop, {f.name: f.sha256 or "" for f in r.files}, r.other_names)
        for r in requests
    ]


def test_what_waits_has_its_result_before_its_turn(
    service: Service, record: AlignmentRecord
) -> None:
    """The first ends; the others wait still, each module having been loaded once for all."""
    requests = waiting(service, record)
    run_one(service)
    loaded = service.tasks.workshop.counts.modules.total()
    first, *others = [service.result(request) for request in requests]
    assert first is not None
    assert first.state is JobState.SUCCEEDED
    assert others == [None] * 3
    assert all(commit is not None for commit in results(service, requests))
    assert first.commit is not None
    assert loaded == first.commit.summary.modules
    service.work()
    ended = [service.result(request) for request in requests]
    assert [r and r.state for r in ended] == [JobState.SUCCEEDED] * 4
    assert service.tasks.workshop.counts.modules.total() == loaded
    assert list(service.records.pending()) == []


@pytest.mark.parametrize("first", ["with_v", "without_v"])
def test_each_gets_what_it_gets_alone(
    service: Service, record: AlignmentRecord, tmp_path: Path, first: str
) -> None:
    """Report and tensors, byte for byte, whatever the others' policies; V is no business of one
    that does without."""
    policies = [policy(threshold) for threshold in THRESHOLDS]
    policies.append(Policy.model_validate(WITHOUT_V))
    if first == "without_v":
        policies.insert(0, policies.pop())

    def concluded(number: int, place: str) -> tuple[Order, Adapter]:
        output = tmp_path / f"{place}-{number}"
        output.mkdir()
        files = AdapterFiles(GOLDEN / "adapter")
        order = Order(files, policies[number], output, BaseNames())
        return order, read(order, alignment, Tracker())

    def made(place: str, judged: list[list[Judged]]) -> list[list[bytes]]:
        found = []
        for number, modules in enumerate(judged):
            order, adapter = concluded(number, place)
            report = conclude(order, adapter, modules, alignment, Tracker())
            files = [path.read_bytes() for path in sorted(order.output.iterdir())]
            found.append([report.as_bytes(), *files])
        return found

    assert record.id is not None
    with service.tasks.workshop.alignment(record.id, record.name) as alignment:
        adapter = concluded(0, "read")[1]
        cases = [Case(adapter.modules, each) for each in policies]
        own, others = judge_all(cases[0], cases[1:], alignment, Tracker(), until=math.inf)
        together = [own, *(modules for modules in others if modules is not None)]
        alone = [judge_one(case, alignment, Tracker()) for case in cases]
        assert made("together", together) == made("alone", alone)


def test_other_alignments_and_equal_uploads_are_left_where_they_are(
    service: Service, record: AlignmentRecord
) -> None:
    """What is for another alignment, or would come to the same result, is no company."""
    other = service.register("other", aligned=str(GOLDEN / "base"), base=str(GOLDEN / "aligned"))
    first = service.accept(record, policy=policy(0.35))
    same, stranger = service.accept(record, policy=policy(0.35)), service.accept(other)
    assert chosen(service, first) == []
    alike = service.accept(record, policy=policy(0.5))
    assert chosen(service, first) == [alike.id]
    assert {same.id, stranger.id, alike.id} == set(waiting_ids(service)) - {first.id}


def test_no_two_workers_take_the_same_one(service: Service, record: AlignmentRecord) -> None:
    """Whoever asks second gets what is left."""
    requests = waiting(service, record)
    assert chosen(service, requests[0]) == [request.id for request in requests[1:]]
    assert chosen(service, requests[0]) == []


def test_what_other_workers_are_about_to_begin_is_left_to_them(
    service: Service, record: AlignmentRecord
) -> None:
    """With two more of them, the two that are next."""
    requests = waiting(service, record)
    workers = [service.worker() for _ in range(3)]
    for worker in workers:
        worker.register_birth()  # type: ignore[no-untyped-call]
    try:
        service.redis.lpop(service.queue.rq.key)  # the first is at work
        assert chosen(service, requests[0]) == [requests[3].id]
    finally:
        for worker in workers:
            worker.register_death()  # type: ignore[no-untyped-call]


def test_after_a_death_a_job_goes_alone(service: Service, record: AlignmentRecord) -> None:
    """One of those beside it may be to blame; and who was with a dead worker is no company."""
    requests = waiting(service, record)
    service.queue.count_death(requests[2].id)
    assert chosen(service, requests[0]) == [requests[1].id, requests[3].id]
    service.queue.count_death(requests[1].id)
    assert chosen(service, requests[1]) == []


def test_a_second_attempt_goes_alone(service: Service, record: AlignmentRecord) -> None:
    requests = waiting(service, record)
    job = requests[0]
    service.tasks.sanitize(tenant=job.tenant, job_id=job.id, attempts_left=0)
    assert service.result(job) is not None
    assert results(service, requests[1:]) == [None] * 3


def test_little_of_v_is_not_shared(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it would save is less than what it costs each job to find its result."""
    monkeypatch.setattr(company, "WORTH_SHARING", 2**27)
    requests = waiting(service, record)
    run_one(service)
    assert service.result(requests[0]) is not None
    assert results(service, requests[1:]) == [None] * 3


def test_what_is_much_larger_is_no_company(service: Service, record: AlignmentRecord) -> None:
    """A small job does not wait for one of thousands of times its size."""
    files = golden_files()
    large = service.accept(record, {**files, "README.md": bytes(10**6)}, policy(0.5))
    small = service.accept(record, policy=policy(0.35))
    assert chosen(service, small) == []
    assert chosen(service, large) == [small.id]


def test_what_is_wrong_with_one_is_found_at_its_own_turn(
    service: Service, record: AlignmentRecord
) -> None:
    """A rejected adapter, and one whose input is gone: the job at work hears nothing of them."""
    files = golden_files()
    dora = files["adapter_config.json"].replace(b'"use_dora": false', b'"use_dora": true')
    first = service.accept(record, policy=policy(0.35))
    refused = service.accept(record, {**files, "adapter_config.json": dora})
    gone = service.accept(record, policy=policy(0.5))
    fine = service.accept(record, policy=policy(0.9))
    service.store.delete(gone.files[0].key or "")
    run_one(service)
    found = results(service, [first, refused, gone, fine])
    assert [commit is not None for commit in found] == [True, False, False, True]
    service.work()
    states = [service.result(r) for r in (first, refused, gone, fine)]
    assert [r and r.state.value for r in states] == ["succeeded", "rejected", "failed", "succeeded"]


def test_a_pass_that_fails_is_made_again_alone(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that only company brings costs the job its time, and nothing else."""

    def score(modules: Any, *others: Any) -> Any:
        if len(modules) > 1:
            raise RuntimeError("of somebody else's numbers")
        return score_modules(modules, *others)

    monkeypatch.setattr("worker.judging.score_modules", score)
    requests = waiting(service, record)
    run_one(service)
    first = service.result(requests[0])
    assert first is not None
    assert first.state is JobState.SUCCEEDED
    assert results(service, requests[1:]) == [None] * 3


def test_an_error_of_one_module_costs_the_job_that_module(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was judged before it, and is after it, is not judged a second time."""
    judged: list[str] = []

    def score(modules: Any, *others: Any) -> Any:
        judged.append(modules[0].path)
        if len(modules) > 1 and modules[0].path.endswith("1.mlp.down_proj"):
            raise RuntimeError("of somebody else's numbers")
        return score_modules(modules, *others)

    monkeypatch.setattr("worker.judging.score_modules", score)
    requests = waiting(service, record)
    run_one(service)
    first = service.result(requests[0])
    assert first is not None
    assert first.commit is not None
    assert len(judged) == first.commit.summary.modules + 1
    assert results(service, requests[1:]) == [None] * 3


@pytest.mark.parametrize("error", [MemoryError, JobTimeoutException])
def test_what_fails_beside_others_is_tried_again_alone(
    service: Service,
    record: AlignmentRecord,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    """They may have taken the memory, or the time; another error in that attempt is the job's."""
    requests = waiting(service, record)
    failed: list[Order] = []

    def fail(order: Order, *others: Any) -> Report:
        if len(failed) < 1:
            failed.append(order)
            raise error
        return conclude(order, *others)

    monkeypatch.setattr("worker.job.conclude", fail)
    service.work()
    ended = [service.result(request) for request in requests]
    assert [r and r.state.value for r in ended] == ["succeeded"] * 4


def test_another_name_of_the_alignment_is_no_company(
    service: Service, record: AlignmentRecord
) -> None:
    """The report says by which name the job was accepted: not by another tenant's."""
    again = service.register("again")
    assert again.id == record.id
    first = service.accept(record, policy=policy(0.35))
    service.accept(again, policy=policy(0.5))
    assert chosen(service, first) == []


def test_what_was_cancelled_meanwhile_gets_no_result(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = waiting(service, record)
    told = JobLine.end

    def cancel(line: JobLine) -> None:
        told(line)
        cancelled = JobResult(state=JobState.CANCELLED, finished_at=now())
        service.records.finish(requests[1].tenant, requests[1].id, cancelled)

    monkeypatch.setattr(JobLine, "end", cancel)
    run_one(service)
    found = results(service, requests)
    assert [commit is not None for commit in found] == [True, False, True, True]


def test_others_are_let_go_when_their_time_is_over(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may take a share of the job's own time, never all of it."""
    monkeypatch.setattr(company, "SHARE_OF_TIME", 0.0)
    requests = waiting(service, record)
    run_one(service)
    assert service.result(requests[0]) is not None
    assert results(service, requests[1:]) == [None] * 3


def test_a_draining_worker_publishes_nothing_more(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job at work ends; what was judged beside it is left."""
    requests = waiting(service, record)
    told = JobLine.end

    def drain(line: JobLine) -> None:
        told(line)
        service.tasks.interrupts.drain.set()

    monkeypatch.setattr(JobLine, "end", drain)
    run_one(service)
    assert service.result(requests[0]) is not None
    assert results(service, requests[1:]) == [None] * 3


def chosen(service: Service, request: JobRequest) -> list[str]:
    """The ids of those that a worker would take along with this one."""
    most = service.tasks.workshop.settings.worker.together - 1
    found = company._waiting(request, service.queue, service.tasks.workshop, most)
    return [other.id for other in found]


def waiting_ids(service: Service) -> list[str]:
    return service.queue.rq.get_job_ids()


def test_a_timeout_beside_others_is_no_error_of_theirs(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where modules are judged in the job's own thread, it is not taken for one and passed over."""
    tries: list[int] = []

    def score(modules: Any, *others: Any) -> Any:
        tries.append(len(modules))
        if len(modules) > 1:
            raise JobTimeoutException
        return score_modules(modules, *others)

    monkeypatch.setattr("worker.judging.score_modules", score)
    requests = waiting(service, record)
    run_one(service)
    assert tries.count(len(requests)) == 1
