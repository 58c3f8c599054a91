"""What a courier tells of itself. One process has one."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from core.observing.family import Counted, Family, Gauged, Spread, begin
from core.observing.process import new_registry
from core.observing.sweeping import DEATHS
from core.settings import Settings
from core.webhooks.outbox import DeliveryState

ROUNDS: Final = Counted(
    "safelora_courier_rounds_total",
    "rounds of each duty (`sweep`, `reconcile`, `expire`, `deliver`): `done`, or `failed` since"
    " Redis or the store did not answer",
    ("duty", "outcome"),
)
LAST_ROUND: Final = Gauged(
    "safelora_courier_last_round_timestamp_seconds",
    "when a round of the duty was last done, in seconds since 1970; the process's start before",
    ("duty",),
)
REQUEUED: Final = Counted(
    "safelora_jobs_requeued_total",
    "accepted jobs and builds that were not on the queue, and were queued again",
)
SET_ASIDE: Final = Counted(
    "safelora_jobs_set_aside_total", "jobs and builds that were given up, by their code", ("code",)
)
EXPIRED: Final = Counted(
    "safelora_expired_total",
    "what was deleted past its age, by kind; `failed` counts what is left to the next time",
    ("kind",),
)
ATTEMPTS: Final = Counted(
    "safelora_webhook_attempts_total",
    "attempts to tell how a job ended: `delivered`, or their code in errors.md",
    ("outcome",),
)
ATTEMPT_SECONDS: Final = Spread(
    "safelora_webhook_attempt_duration_seconds",
    "of each attempt",
    bounds=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0),
)
GIVEN_UP: Final = Counted(
    "safelora_webhook_deliveries_ended_total",
    "deliveries that nothing more is done for, by how they ended",
    ("state",),
)
DUE: Final = Gauged(
    "safelora_webhook_deliveries_due",
    "deliveries that were due and not under way at the last look, 200 of each tenant at most",
)
DUE_SINCE: Final = Gauged(
    "safelora_webhook_oldest_due_seconds", "how long the oldest of them had been due by then, or 0"
)

FAMILIES: Final[tuple[Family, ...]] = (
    *(ROUNDS, LAST_ROUND, REQUEUED, SET_ASIDE, EXPIRED, DEATHS),
    *(ATTEMPTS, ATTEMPT_SECONDS, GIVEN_UP, DUE, DUE_SINCE),
)
DUTIES: Final = ("sweep", "reconcile", "expire", "deliver")


class CourierMetrics:
    """Safe to share between threads."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Without settings no disk is looked at."""
        self.registry = new_registry("courier", settings, {})
        self._rounds = ROUNDS.made(self.registry)
        self._last_round = LAST_ROUND.made(self.registry)
        self.requeued = REQUEUED.made(self.registry)
        self.set_aside = SET_ASIDE.made(self.registry)
        self._expired = EXPIRED.made(self.registry)
        self.deaths = DEATHS.made(self.registry)
        self._attempts = ATTEMPTS.made(self.registry)
        self._attempt_seconds = ATTEMPT_SECONDS.made(self.registry)
        self._deliveries_ended = GIVEN_UP.made(self.registry)
        self._due = DUE.made(self.registry)
        self._due_since = DUE_SINCE.made(self.registry)
        for duty in DUTIES:
            self._last_round.labels(duty).set(time.time())
            begin(self._rounds, *((duty, outcome) for outcome in ("done", "failed")))
        begin(self.set_aside, ("workers_lost",), ("attempts_exhausted",))
        begin(self._deliveries_ended, *((state,) for state in ("delivered", "failed", "gone")))

    @contextmanager
    def round(self, duty: str) -> Iterator[None]:
        """One round; whatever it raises goes on."""
        try:
            yield
        except BaseException:
            self._rounds.labels(duty, "failed").inc()
            raise
        self._rounds.labels(duty, "done").inc()
        self._last_round.labels(duty).set(time.time())

    def deleted(self, counts: Mapping[str, int]) -> None:
        """By kind."""
        for kind, count in counts.items():
            self._expired.labels(kind).inc(count)

    def attempted(self, error: str | None, seconds: float, state: DeliveryState) -> None:
        """One attempt to tell how a job ended, and how its delivery stands since."""
        self._attempts.labels(error or "delivered").inc()
        self._attempt_seconds.observe(seconds)
        if state != "pending":
            self._deliveries_ended.labels(state).inc()

    def looked(self, due_ms: Sequence[int]) -> None:
        """What was found to be due, and since when each is."""
        self._due.set(len(due_ms))
        since = min(due_ms, default=None)
        self._due_since.set(0 if since is None else max(0.0, time.time() - since / 1000))
