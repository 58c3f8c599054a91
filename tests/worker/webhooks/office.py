"""A courier's deliveries in this process, with a clock that tests set, and jobs that end."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from standardwebhooks import Webhook

from core.findings import finding
from core.jobs import (
    AlignmentRef,
    Commit,
    FinalState,
    JobFailure,
    JobRequest,
    JobResult,
    JobState,
    new_job_id,
    now,
)
from core.observing.errands import CourierMetrics
from core.policy import Policy
from core.records import Records
from core.report import FileFacts, Summary
from core.settings import WebhookSettings
from core.store.base import ObjectStore
from core.webhooks.outbox import Delivery, now_ms
from core.webhooks.signing import Secrets
from tests.worker.webhooks.receiver import Receiver, Sent
from worker.webhooks.deliverer import Deliverer
from worker.webhooks.sender import Outcome, Sender

TENANT = "acme"


@dataclass
class Clock:
    """In milliseconds; it stands still unless a test moves it."""

    ms: int = field(default_factory=lambda: now_ms() + 1000)

    def __call__(self) -> int:
        return self.ms

    def pass_seconds(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


class Remembering(Sender):
    """Sends nothing: keeps what was to be sent, and has it answered by `answer`."""

    def __init__(self, answer: Callable[[], Outcome] = lambda: Outcome(0.0, 200)) -> None:
        self.sent: list[tuple[str, dict[str, str], bytes]] = []
        self._answered = answer

    def send(self, url: str, headers: dict[str, str], body: bytes) -> Outcome:
        self.sent.append((url, headers, body))
        return self._answered()


@dataclass
class Office:
    """`settings` admit the receivers; `secret` is the tenant's."""

    store: ObjectStore
    redis: Redis
    receivers: list[Receiver]
    clock: Clock = field(default_factory=Clock)
    sender: Sender | None = None
    metrics: CourierMetrics = field(default_factory=CourierMetrics)

    def __post_init__(self) -> None:
        self.records = Records(self.store)
        self.settings = WebhookSettings(allow=[r.origin for r in self.receivers], timeout=5.0)
        secrets = Secrets(self.store, TENANT)
        self.secret = secrets.rotate(overlap_ms=0, now_ms=self.clock.ms - 1000).secret
        self.used = self.sender or Sender(self.settings)

    def deliverer(self, store: ObjectStore | None = None) -> Deliverer:
        """As a process of its own has one; with another `store` where that process dies."""
        records = self.records if store is None else Records(store)
        return Deliverer(
            records,
            self.redis,
            self.settings,
            self.used,
            clock=self.clock,
            chance=lambda: 0.0,
            metrics=self.metrics,
        )

    def deliver(self) -> int:
        """All that is due by the clock; how many marks that was."""
        marks = list(self.records.outbox.due(TENANT, self.clock.ms))
        for mark in marks:
            self.deliverer().deliver(mark)
        return len(marks)

    def accept(self, **fields: Any) -> JobRequest:
        request = a_request(**fields)
        self.records.announce(request.tenant, request.id)
        self.records.accept(request)
        return request

    def end(self, state: FinalState = JobState.SUCCEEDED, **fields: Any) -> JobRequest:
        """A job that is accepted, and ends."""
        request = self.accept(**fields)
        self.records.finish(request.tenant, request.id, a_result(state))
        return request

    def deliveries(self, request: JobRequest) -> list[Delivery]:
        return list(self.records.outbox.of_job(request.tenant, request.id))

    def verified(self, sent: Sent) -> dict[str, Any]:
        """The message, once the library finds it good."""
        message: dict[str, Any] = Webhook(self.secret).verify(sent.body, sent.headers)
        return message

    def marks(self) -> list[str]:
        return list(self.store.list("outbox/"))


def a_request(**fields: Any) -> JobRequest:
    return JobRequest(
        **{
            "id": new_job_id(),
            "tenant": TENANT,
            "created_at": now(),
            "alignment": AlignmentRef(name="tiny", id="0" * 40),
            "policy": Policy(),
            "files": [],
            **fields,
        }
    )


def a_result(state: FinalState) -> JobResult:
    error = JobFailure(code="os_error", message="the disk") if state == JobState.FAILED else None
    commit = None
    if state in (JobState.SUCCEEDED, JobState.REJECTED):
        rejected = state == JobState.REJECTED
        commit = Commit(
            recipe="1" * 40,
            state=state,
            verdict="rejected" if rejected else "projected",
            output="2" * 40,
            files=[FileFacts(name="adapter_model.safetensors", size=1, sha256="0" * 64)],
            summary=Summary(modules=2, projected=1),
            findings=[finding("non_finite", "tensor", "a.lora_A.weight")] * 2 if rejected else [],
            findings_total=7 if rejected else 0,
        )
    return JobResult(state=state, finished_at=now(), commit=commit, error=error)


def message_of(body: bytes) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(body)
    return message
