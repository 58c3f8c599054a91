"""The outbox: which ends are to be told to whom, and what came of it.

A delivery's record lies with its job; a mark under `outbox/`, named by when it is due, brings the
courier to it. The record is the truth. A mark is put after it and may be one too many, never one
too few: who finds one that is not right puts the right one and takes that away.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError

from core.canonical import Json, digest, pretty_json
from core.errors import RecordUnreadable
from core.jobs import TENANT_PATTERN, JobRequest, JobResult
from core.model import Frozen
from core.observing.traces import current_traceparent
from core.store import layout
from core.store.base import ObjectExists, ObjectMissing, ObjectStore
from core.webhooks.endpoints import Endpoints, EventType
from core.webhooks.payload import event_of, payload

DELIVERY_ID_PATTERN = r"^msg_[0-9a-f]{32}$"
KEPT_ATTEMPTS: Final = 30

DeliveryState = Literal["pending", "delivered", "failed", "gone"]


class Attempt(Frozen):
    """`status` of the receiver's answer, if there was one; `error` is a code of ours."""

    at: str
    seconds: float
    status: int | None = None
    error: str | None = None


class Delivery(Frozen):
    """One end told to one receiver. `id` is the `webhook-id`; `webhook_id` names the endpoint, None
    for a job's own callback. `due_ms`: when the next attempt is made (ms since 1970), while it is
    pending. `in_a_row`: attempts since the end, or since somebody asked for it again.
    `traceparent`: of what ended the job, where that was traced."""

    id: Annotated[str, Field(pattern=DELIVERY_ID_PATTERN)]
    tenant: str
    job_id: str
    webhook_id: str | None
    event: EventType
    url: str
    body: str
    state: DeliveryState = "pending"
    due_ms: int
    in_a_row: int = 0
    attempts: list[Attempt] = []
    traceparent: str | None = None

    def as_bytes(self) -> bytes:
        """Without what came later and says nothing, for versions that do not know it."""
        silent = {"traceparent"} if self.traceparent is None else set()
        dumped: Json = self.model_dump(mode="json", exclude=silent)
        return pretty_json(dumped)

    @property
    def mark(self) -> "Mark":
        return Mark(self.due_ms, self.tenant, self.job_id, self.id)


@dataclass(frozen=True)
class Mark:
    """That a delivery is due at a moment."""

    due_ms: int
    tenant: str
    job_id: str
    delivery_id: str

    @property
    def key(self) -> str:
        return layout.outbox_mark(self.due_ms, self.tenant, self.job_id, self.delivery_id)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Outbox:
    """All methods may raise `StoreError`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def tell(self, request: JobRequest, result: JobResult) -> None:
        """Have the end of a job, which stands, told to all who are to be told. May be repeated.

        Of a job that is removed meanwhile nothing is told, and nothing kept.
        """
        told = list(self._deliveries(request, result))
        for delivery in told:
            self._begin(delivery)
        if told and not self._is_kept(request.tenant, request.id):
            self.forget(request.tenant, request.id)

    def save(self, delivery: Delivery, mark: Mark | None = None) -> None:
        """What came of an attempt; `mark` is what led to it. Not kept where its job is removed."""
        self._store.put(_place(delivery), delivery.as_bytes())
        if not self._is_kept(delivery.tenant, delivery.job_id):
            self.forget(delivery.tenant, delivery.job_id)
        elif delivery.state == "pending":
            self._put_mark(delivery.mark)
        if mark is not None and (mark != delivery.mark or delivery.state != "pending"):
            self.take_away(mark)

    def get(self, tenant: str, job_id: str, delivery_id: str) -> Delivery | None:
        key = layout.delivery(tenant, job_id, delivery_id)
        try:
            return Delivery.model_validate_json(self._store.get(key))
        except ObjectMissing:
            return None
        except ValidationError as error:
            raise RecordUnreadable(
                f"{key} is no delivery of this version: restore it or remove it"
            ) from error

    def of_job(self, tenant: str, job_id: str) -> Iterator[Delivery]:
        prefix = layout.deliveries(tenant, job_id)
        for key in self._store.list(prefix):
            found = self.get(tenant, job_id, key.removeprefix(prefix).removesuffix(".json"))
            if found is not None:
                yield found

    def tenants(self) -> Iterator[str]:
        """Those that are to be told something, now or later."""
        for name in self._store.folders(layout.outbox()):
            if re.fullmatch(TENANT_PATTERN, name):
                yield name

    def due(self, tenant: str, moment_ms: int) -> Iterator[Mark]:
        """What waits longest first."""
        prefix = layout.outbox_of(tenant)
        for key in self._store.list(prefix):
            mark = _read_mark(tenant, key.removeprefix(prefix))
            if mark is None:
                continue
            if mark.due_ms > moment_ms:
                return
            yield mark

    def take_away(self, mark: Mark) -> None:
        self._store.delete(mark.key)

    def put_right(self, mark: Mark, delivery: Delivery | None) -> None:
        """For a mark that is not its delivery's: the right one is put, and it is taken away."""
        if delivery is not None and delivery.state == "pending":
            self._put_mark(delivery.mark)
        if delivery is None or delivery.state != "pending" or delivery.mark != mark:
            self.take_away(mark)

    def forget(self, tenant: str, job_id: str) -> None:
        """Take away what is kept of a removed job's deliveries; marks go when they fall due."""
        for key in list(self._store.list(layout.deliveries(tenant, job_id))):
            self._store.delete(key)

    def _deliveries(self, request: JobRequest, result: JobResult) -> Iterator[Delivery]:
        event = event_of(result)
        receivers: list[tuple[str | None, str]] = []
        if request.callback_url is not None:
            receivers.append((None, request.callback_url))
        receivers += (
            (endpoint.id, endpoint.settings.url)
            for endpoint in Endpoints(self._store, request.tenant).all()
            if endpoint.takes(event)
        )
        for webhook_id, url in receivers:
            yield Delivery(
                id=_delivery_id(request, webhook_id),
                tenant=request.tenant,
                job_id=request.id,
                webhook_id=webhook_id,
                event=event,
                url=url,
                body=payload(request, result).decode(),
                due_ms=int(datetime.fromisoformat(result.finished_at).timestamp() * 1000),
                traceparent=current_traceparent(),
            )

    def _begin(self, delivery: Delivery) -> None:
        standing: Delivery | None = delivery
        try:
            self._store.put(_place(delivery), delivery.as_bytes(), if_absent=True)
        except ObjectExists:
            standing = self.get(delivery.tenant, delivery.job_id, delivery.id)
        if standing is not None and standing.state == "pending":
            self._put_mark(standing.mark)

    def _put_mark(self, mark: Mark) -> None:
        self._store.put(mark.key, b"")

    def _is_kept(self, tenant: str, job_id: str) -> bool:
        return self._store.info(layout.job_request(tenant, job_id)) is not None


def _place(delivery: Delivery) -> str:
    return layout.delivery(delivery.tenant, delivery.job_id, delivery.id)


def _delivery_id(request: JobRequest, webhook_id: str | None) -> str:
    """The same whoever makes it; another one for another job that came by the same id."""
    named = [request.tenant, request.id, request.created_at, webhook_id]
    return f"msg_{digest(named)[:32]}"


def _read_mark(tenant: str, text: str) -> Mark | None:
    """None for what no version of ours put."""
    due, *parts = text.split("/")
    if not (due.isascii() and due.isdigit() and len(parts) == 2):
        return None
    return Mark(int(due), tenant, *parts)
