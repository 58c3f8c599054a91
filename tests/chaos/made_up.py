"""A service's store as it looks after jobs that went well, made without any service."""

from dataclasses import dataclass
from typing import Any

from app.intake.idempotency import Claim
from chaos.audit import Auditor
from chaos.ledger import Complaint, Ledger
from chaos.reference import TENANT, Expected
from core.canonical import pretty_json, sha256_hex
from core.jobs import AlignmentRef, Commit, InputFile, JobRequest, JobResult, JobState, new_job_id
from core.policy import Policy
from core.records import Records
from core.report import FileFacts, Summary
from core.store import layout
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL, REPORT_JSON
from core.store.local import LocalStore

TIME = "2026-11-25T03:00:00.000Z"
LATER = "2026-11-25T03:00:09.000Z"


@dataclass(frozen=True)
class Job:
    """One that went well: its `key`, its input's number, and how it ended."""

    id: str
    key: str
    number: int
    request: JobRequest
    result: JobResult

    @property
    def commit(self) -> Commit:
        assert self.result.commit is not None
        return self.result.commit

    def place(self, filename: str) -> str:
        """Where this file of the result lies."""
        return layout.output(TENANT, self.commit.recipe, self.commit.output, filename)

    @property
    def document(self) -> dict[str, Any]:
        """What the API shows of it, as far as anyone looks."""
        return {
            "id": self.id,
            "state": self.result.state.value,
            "finished_at": self.result.finished_at,
        }


class MadeUp:
    """The store, the callers' ledger, and what each input comes to."""

    def __init__(self, store: LocalStore) -> None:
        self.store = store
        self.records = Records(store)
        self.ledger = Ledger()

    def of(self, number: int) -> Expected:
        return Expected(JobState.SUCCEEDED, commit_of(number))

    def complaints(self) -> list[Complaint]:
        return Auditor(self.ledger, self, self.store, TENANT).complaints()

    def job(self, number: int) -> Job:
        """Posted, accepted, done, and seen at its end."""
        job = made(number)
        self.ledger.begin(job.key, number)
        claim = Claim(job_id=job.id, digest="")
        self.store.put(layout.idempotency(TENANT, job.key), pretty_json(claim.model_dump()))
        for file in job.request.files:
            assert file.key is not None
            self.store.put(file.key, content(number, f"input {file.name}"))
        self.records.accept(job.request)
        for facts in job.commit.files:
            self.store.put(job.place(facts.name), content(number, facts.name))
        self.records.commit(TENANT, job.commit)
        self.records.finish(TENANT, job.id, job.result)
        self.ledger.accepted(job.key, job.document, asked_at=0.0)
        return job


def made(number: int) -> Job:
    job_id = new_job_id()
    result = JobResult(
        state=JobState.SUCCEEDED,
        finished_at=TIME,
        recipe=recipe_of(number),
        commit=commit_of(number),
    )
    data = content(number, f"input {ADAPTER_MODEL}")
    file = InputFile(
        name=ADAPTER_MODEL,
        size=len(data),
        sha256=sha256_hex(data),
        key=layout.job_input(TENANT, job_id, ADAPTER_MODEL),
    )
    request = JobRequest(
        id=job_id,
        tenant=TENANT,
        created_at=TIME,
        alignment=AlignmentRef(name="tiny", id="0" * 40),
        policy=Policy(),
        files=[file],
    )
    return Job(job_id, f"key-{number}", number, request, result)


def commit_of(number: int) -> Commit:
    names = (ADAPTER_MODEL, ADAPTER_CONFIG, REPORT_JSON)
    files = [
        FileFacts(name=name, size=len(data), sha256=sha256_hex(data))
        for name in names
        for data in [content(number, name)]
    ]
    return Commit(
        recipe=recipe_of(number),
        state=JobState.SUCCEEDED,
        verdict="projected",
        output=f"{number:040d}",
        files=files,
        summary=Summary(),
    )


def recipe_of(number: int) -> str:
    return sha256_hex(str(number).encode())[:40]


def content(number: int, name: str) -> bytes:
    return f"{name} of {number}".encode()
