"""The auditor has nothing to say of jobs that went well, and finds each kind of damage."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.audit import Outcome, leftovers, open_uploads
from chaos.ledger import Complaint, Kind
from chaos.reference import TENANT
from core.jobs import JobResult, JobState
from core.store import layout
from core.store.layout import ADAPTER_MODEL
from core.store.local import LocalStore
from tests.chaos.made_up import LATER, TIME, Job, MadeUp, commit_of, made
from tests.servers import SeaweedServer


@pytest.fixture
def service(local_store: LocalStore) -> MadeUp:
    made_up = MadeUp(local_store)
    for number in range(3):
        made_up.job(number)
    return made_up


def test_jobs_that_went_well_leave_nothing_to_complain_of(service: MadeUp) -> None:
    """Nor do two jobs of one recipe, or an answer that is given twice."""
    again = service.job(3)
    service.ledger.accepted(again.key, again.document, asked_at=0.0)
    assert service.complaints() == []


def forget_request(service: MadeUp, job: Job) -> None:
    service.store.delete(layout.job_request(TENANT, job.id))


def forget_claim(service: MadeUp, job: Job) -> None:
    service.store.delete(layout.idempotency(TENANT, job.key))


def never_end(service: MadeUp, job: Job) -> None:
    service.store.delete(layout.job_result(TENANT, job.id))


def never_answer(service: MadeUp, _: Job) -> None:
    service.ledger.begin("unanswered", 1)


def end_otherwise(service: MadeUp, job: Job) -> None:
    failed = JobResult(state=JobState.FAILED, finished_at=TIME)
    service.store.put(layout.job_result(TENANT, job.id), failed.as_bytes())


def end_with_another_result(service: MadeUp, job: Job) -> None:
    other = job.result.model_copy(update={"commit": commit_of(0)})
    service.store.put(layout.job_result(TENANT, job.id), other.as_bytes())


def end_without_commit(service: MadeUp, job: Job) -> None:
    other = job.result.model_copy(update={"commit": None})
    service.store.put(layout.job_result(TENANT, job.id), other.as_bytes())


def end_twice(service: MadeUp, job: Job) -> None:
    again = job.result.model_copy(update={"finished_at": LATER})
    service.store.put(layout.job_result(TENANT, job.id), again.as_bytes())


def change_the_word(service: MadeUp, job: Job) -> None:
    service.ledger.saw({**job.document, "finished_at": LATER}, asked_at=0.0)


def garble_result(service: MadeUp, job: Job) -> None:
    service.store.put(layout.job_result(TENANT, job.id), b"{")


def garble_input(service: MadeUp, job: Job) -> None:
    service.store.put(layout.job_input(TENANT, job.id, ADAPTER_MODEL), b"other")


def flip_byte(service: MadeUp, job: Job) -> None:
    data = service.store.get(job.place(ADAPTER_MODEL))
    service.store.put(job.place(ADAPTER_MODEL), data[:-1] + bytes([data[-1] ^ 1]))


def lose_file(service: MadeUp, job: Job) -> None:
    service.store.delete(job.place(ADAPTER_MODEL))


def lose_commit(service: MadeUp, job: Job) -> None:
    service.store.delete(layout.commit(TENANT, job.commit.recipe))


def commit_other_files(service: MadeUp, job: Job) -> None:
    other = job.commit.model_copy(update={"files": job.commit.files[1:]})
    service.store.put(layout.commit(TENANT, job.commit.recipe), other.as_bytes())


def commit_what_nobody_asked_for(service: MadeUp, _: Job) -> None:
    service.records.commit(TENANT, commit_of(99))


def leave_a_file(service: MadeUp, job: Job) -> None:
    service.store.put(job.place("partial"), b"")


def leave_another_output(service: MadeUp, job: Job) -> None:
    place = layout.output(TENANT, job.commit.recipe, "f" * 40, ADAPTER_MODEL)
    service.store.put(place, b"")


def leave_mark(service: MadeUp, job: Job) -> None:
    service.store.put(layout.pending(TENANT, job.id), b"")


def leave_half_a_job(service: MadeUp, _: Job) -> None:
    service.store.put(layout.pending(TENANT, made(5).id), b"")


def make_two_jobs(service: MadeUp, job: Job) -> None:
    other = made(job.number)
    service.records.accept(other.request)
    service.records.finish(TENANT, other.id, other.result)
    service.ledger.accepted(job.key, other.document, asked_at=0.0)


def make_an_unknown_job(service: MadeUp, job: Job) -> None:
    other = made(job.number)
    service.records.accept(other.request)
    service.records.finish(TENANT, other.id, other.result)


Damage = Callable[[MadeUp, Job], None]
DAMAGES: list[tuple[Damage, Kind, str]] = [
    (forget_request, "lost", "no request.json"),
    (forget_claim, "lost", "missing or unreadable"),
    (never_end, "stuck", "no result.json"),
    (never_answer, "stuck", "never answered"),
    (end_otherwise, "wrong", "ended as failed, expected succeeded"),
    (end_with_another_result, "wrong", "its result differs in files, output, recipe"),
    (end_without_commit, "wrong", "without a commit"),
    (end_twice, "duplicated", "result.json was written twice"),
    (change_the_word, "wrong", "its final word changed: finished_at"),
    (garble_result, "wrong", "is not a JobResult"),
    (garble_input, "wrong", "is not what was accepted"),
    (flip_byte, "wrong", "is not the file that commit.json names"),
    (lose_file, "wrong", "is missing"),
    (lose_commit, "wrong", "no commit.json"),
    (commit_other_files, "wrong", "commit.json differs in files"),
    (commit_what_nobody_asked_for, "wrong", "nobody asked"),
    (leave_a_file, "wrong", "partial beside the result"),
    (leave_another_output, "duplicated", "beside the result"),
    (leave_mark, "wrong", "marked as pending, and has ended"),
    (leave_half_a_job, "wrong", "half accepted"),
    (make_two_jobs, "duplicated", "key key-4: jobs"),
    (make_an_unknown_job, "duplicated", "no caller was ever told"),
]


@pytest.mark.parametrize(
    ("damage", "kind", "words"), DAMAGES, ids=[damage.__name__ for damage, _, _ in DAMAGES]
)
def test_damage_is_found(service: MadeUp, damage: Damage, kind: Kind, words: str) -> None:
    """Each one, by its kind and in words."""
    damage(service, service.job(4))
    found = service.complaints()
    assert any(c.kind == kind and words in c.what for c in found), found


def test_what_processes_left_is_found(tmp_path: Path) -> None:
    """Anything in a scratch folder; in a cache what is unfinished, and no finished copy."""
    scratch, cache = tmp_path / "scratch", tmp_path / "cache"
    (scratch / "process-abc").mkdir(parents=True)
    (cache / "0123").mkdir(parents=True)
    (cache / "0123" / "alignment.json").touch()
    (cache / "0123" / ".alignment.json.part").touch()
    (cache / ".building-4567").mkdir()
    found = leftovers([scratch, tmp_path / "never-made"], [cache])
    names = sorted(Path(c.what.removesuffix(" was left behind")).name for c in found)
    assert names == [".alignment.json.part", ".building-4567", "process-abc"]


def test_open_upload_is_found(seaweed: SeaweedServer) -> None:
    """A multipart upload that nobody finished."""
    from boto3.session import Session

    settings = seaweed.settings(prefix="chaos-uploads")
    client = Session().client(
        "s3",
        endpoint_url=settings.endpoint_url,
        region_name=settings.region,
        aws_access_key_id=seaweed.access_key_id,
        aws_secret_access_key=seaweed.secret_access_key,
    )
    assert open_uploads(settings) == []
    client.create_multipart_upload(Bucket=settings.bucket, Key="chaos-uploads/begun")
    found = open_uploads(settings)
    client.close()
    assert [c.what for c in found] == ["the upload of chaos-uploads/begun was left open"]


def test_last_line_counts_by_kind() -> None:
    """A script reads it."""
    complaints = [Complaint("wrong", "one"), Complaint("wrong", "two"), Complaint("stuck", "three")]
    line = str(Outcome(rounds=2, jobs=30, faults=2, complaints=complaints))
    assert line == "chaos: rounds=2 jobs=30 faults=2 lost=0 wrong=2 duplicated=0 stuck=1"
