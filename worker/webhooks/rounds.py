"""What is due, delivered: many at a time, few of one tenant, so that no slow receiver holds up the
others."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from threading import Condition, Event, Thread
from typing import Final

from redis import Redis

from core.errors import GateError
from core.observing.errands import CourierMetrics
from core.records import Records
from core.settings import WebhookSettings
from core.webhooks.outbox import Mark, Outbox, now_ms
from worker.webhooks.deliverer import Deliverer
from worker.webhooks.sender import Sender

LEAVE_SECONDS: Final = 5.0
REST_SECONDS: Final = 60.0
_LISTED_OF_ONE = 200  # marks of one tenant that are listed for one look
_BREATH = 0.5

_log = logging.getLogger(__name__)


class Rounds:
    """Looks at the outbox again and again, and starts an attempt in a thread of its own for each
    mark that is due, as the bounds allow."""

    def __init__(
        self,
        outbox: Outbox,
        deliver: Callable[[Mark], None],
        settings: WebhookSettings,
        clock: Callable[[], int] = now_ms,
        metrics: CourierMetrics | None = None,
    ) -> None:
        self._outbox = outbox
        self._metrics = metrics or CourierMetrics()
        self._deliver = deliver
        self._settings = settings
        self._clock = clock
        self._changed = Condition()
        self._in_flight: dict[str, str] = {}  # tenants by delivery
        self._resting: dict[str, float] = {}  # until when, by delivery: those that went wrong

    def run(self, stop: Event) -> None:
        """Until `stop`, and then until what is under way has ended or `LEAVE_SECONDS` are over."""
        while not stop.is_set():
            start = time.monotonic()
            try:
                with self._metrics.round("deliver"):
                    self.look(stop)
            except GateError as error:
                _log.warning("what is to be told waits for the next look: %s", error)
            spent = time.monotonic() - start
            stop.wait(max(0.0, self._settings.every - spent))
        self.wait(LEAVE_SECONDS)

    def look(self, stop: Event) -> None:
        """One look: all that was due then is started, or as much as can be until the next one."""
        start = time.monotonic()
        waiting = self._due()
        listed = time.monotonic()
        ends = listed + max(self._settings.every, listed - start)
        while True:
            with self._changed:
                self._start_some(waiting)
                left = ends - time.monotonic()
                if not waiting or left <= 0 or stop.is_set():
                    return
                self._changed.wait(min(left, _BREATH))

    def wait(self, seconds: float) -> bool:
        """True once nothing is under way."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._in_flight, seconds)

    def _due(self) -> dict[str, deque[Mark]]:
        """By tenant, what waits longest first."""
        moment = time.monotonic()
        with self._changed:
            self._resting = {key: end for key, end in self._resting.items() if end > moment}
            passed_over = {*self._resting, *self._in_flight}
        waiting: dict[str, deque[Mark]] = {}
        for tenant in self._outbox.tenants():
            due = self._outbox.due(tenant, self._clock())
            startable = (mark for mark in due if mark.delivery_id not in passed_over)
            marks = deque(islice(startable, _LISTED_OF_ONE))
            if marks:
                waiting[tenant] = marks
        self._metrics.looked([mark.due_ms for marks in waiting.values() for mark in marks])
        return waiting

    def _start_some(self, waiting: dict[str, deque[Mark]]) -> None:
        """One of each tenant in turn, while there is room; who has nothing left is taken out."""
        started = True
        while started:
            started = False
            for tenant in list(waiting):
                if not self._has_room(tenant):
                    continue
                mark = waiting[tenant].popleft()
                if not waiting[tenant]:
                    del waiting[tenant]
                if mark.delivery_id not in self._in_flight:
                    self._in_flight[mark.delivery_id] = tenant
                    Thread(target=self._attempt, args=(mark,), daemon=True).start()
                started = True

    def _has_room(self, tenant: str) -> bool:
        of_tenant = Counter(self._in_flight.values())[tenant]
        return (
            len(self._in_flight) < self._settings.concurrency
            and of_tenant < self._settings.tenant_concurrency
        )

    def _attempt(self, mark: Mark) -> None:
        with self._changed:
            self._resting[mark.delivery_id] = time.monotonic() + REST_SECONDS
        try:
            self._deliver(mark)
        except GateError as error:
            _log.error("delivery %s is tried again later: %s", mark.delivery_id, error)
        else:
            with self._changed:
                self._resting.pop(mark.delivery_id, None)
        finally:
            with self._changed:
                self._in_flight.pop(mark.delivery_id, None)
                self._changed.notify_all()


@contextmanager
def delivering(
    records: Records,
    redis: Redis,
    settings: WebhookSettings,
    stop: Event,
    metrics: CourierMetrics | None = None,
) -> Iterator[list[Thread]]:
    """Tell what is to be told, beside whatever else is done, until `stop`; the threads that do."""
    if not settings.enabled:
        yield []
        return
    deliverer = Deliverer(records, redis, settings, Sender(settings), metrics=metrics)
    rounds = Rounds(records.outbox, deliverer.deliver, settings, metrics=metrics)
    thread = Thread(target=rounds.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield [thread]
    finally:
        thread.join(2 * LEAVE_SECONDS)
