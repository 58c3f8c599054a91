"""What the service promised: every accepted job, and the first word on how each ended."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal

from core.jobs import JobState

Kind = Literal["lost", "wrong", "duplicated", "stuck"]
Document = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class Complaint:
    """One promise that was not kept."""

    kind: Kind
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


@dataclass
class Order:
    """One idempotency key: the input that was posted under it, and the jobs it was answered with.

    `accepted_at` is the time of the first answer, in seconds of `time.monotonic`.
    """

    key: str
    number: int
    job_ids: list[str] = field(default_factory=list)
    accepted_at: float | None = None


@dataclass
class Seen:
    """One job as the API showed it: each state, and the first document with a final one.

    `final_at`: when that came, in seconds of `time.monotonic`.
    """

    number: int
    states: set[JobState] = field(default_factory=set)
    final: Document | None = None
    final_at: float | None = None


class Ledger:
    """Kept by the posters and the watchers at once. `documents` and `files`: how many were looked
    at."""

    def __init__(self) -> None:
        self.documents = 0
        self.files = 0
        self._orders: dict[str, Order] = {}
        self._jobs: dict[str, Seen] = {}
        self._complaints: set[Complaint] = set()
        self._lock = Lock()

    @property
    def orders(self) -> list[Order]:
        with self._lock:
            return list(self._orders.values())

    @property
    def jobs(self) -> dict[str, Seen]:
        """By job id."""
        with self._lock:
            return dict(self._jobs)

    @property
    def complaints(self) -> list[Complaint]:
        with self._lock:
            return sorted(self._complaints)

    def unfinished(self) -> list[str]:
        """The accepted jobs that nobody has seen at their end."""
        with self._lock:
            return [job_id for job_id, seen in self._jobs.items() if seen.final is None]

    def begin(self, key: str, number: int) -> None:
        """Before the first post under this key: from now on it needs an answer."""
        with self._lock:
            self._orders.setdefault(key, Order(key, number))

    def accepted(self, key: str, document: Document, *, asked_at: float) -> None:
        """A 200 or 202 to a post under this key, which was sent at that time."""
        job_id = str(document["id"])
        with self._lock:
            order = self._orders[key]
            if job_id not in order.job_ids:
                order.job_ids.append(job_id)
            if order.accepted_at is None:
                order.accepted_at = time.monotonic()
            self._jobs.setdefault(job_id, Seen(order.number))
        self.saw(document, asked_at=asked_at)

    def saw(self, document: Document, *, asked_at: float) -> None:
        """A job's document, from any API. What was final must not be anything else afterwards.

        An answer that says less than one that was known when it was asked for, `asked_at` in
        seconds of `time.monotonic`, takes that back; one that was only overtaken does not.
        """
        state = JobState(document["state"])
        with self._lock:
            self.documents += 1
            seen = self._jobs[str(document["id"])]
            seen.states.add(state)
            if seen.final is None or seen.final_at is None:
                if state.final:
                    seen.final, seen.final_at = document, time.monotonic()
            elif document != seen.final and (state.final or asked_at > seen.final_at):
                self._complaints.add(_changed(seen.final, document))

    def downloaded(self) -> None:
        """A file of a job, compared with the one expected."""
        with self._lock:
            self.files += 1

    def complain(self, kind: Kind, what: str) -> None:
        """The same complaint again counts once."""
        with self._lock:
            self._complaints.add(Complaint(kind, what))


def _changed(first: Document, later: Document) -> Complaint:
    fields = sorted(name for name in first.keys() | later if first.get(name) != later.get(name))
    shown = "; ".join(
        f"{name} {first.get(name)!r:.60} → {later.get(name)!r:.60}" for name in fields
    )
    return Complaint("wrong", f"job {first['id']}: its final word changed: {shown}")
