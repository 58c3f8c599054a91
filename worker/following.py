"""Who hears how far a task is, and what stops it: Redis is told, and asked, between modules."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import QueueError, StoreError
from core.jobs import Progress, now
from core.queue import JobQueue
from core.records import Records
from worker.interrupts import Cancelled, Interrupts
from worker.tracking import Tracker

TELL_EVERY = 0.25
LOOK_EVERY = 5.0

_log = logging.getLogger(__name__)


class Line:
    """To whoever waits for a task: its progress, as long as it runs."""

    def __init__(self, queue: JobQueue, rq_id: str) -> None:
        self.queue = queue
        self.rq_id = rq_id

    def tell(self, progress: Progress) -> None:
        """Raises `QueueError`."""
        self.queue.set_progress(self.rq_id, progress)

    def check(self) -> None:
        """Raises what ends the task, if something does."""

    def put_back(self) -> None:
        """It waits for another attempt. Raises `QueueError`."""

    def close(self) -> None:
        """Raises `QueueError`."""
        self.queue.clear_progress(self.rq_id)


class JobLine(Line):
    """To those who follow a job; the other way comes word that it has ended, cancelled for one.

    Redis only hastens that word, within one `TELL_EVERY`: the store is believed, and asked every
    `LOOK_EVERY` seconds too, so that no wipe and no outage of Redis hides it.
    """

    def __init__(self, queue: JobQueue, records: Records, tenant: str, job_id: str) -> None:
        super().__init__(queue, job_id)
        self._records = records
        self._tenant = tenant
        self._begun = False
        self._marked = False
        self._is_over = False
        self._looked = time.monotonic()

    def tell(self, progress: Progress) -> None:
        self._marked = self.queue.tell_running(self.rq_id, progress, begins=not self._begun)
        self._begun = True

    def end(self) -> None:
        """The store has its result."""
        with _passing_over(self.rq_id):
            self.queue.tell_end(self.rq_id)
            self._is_over = True

    def check(self) -> None:
        """Raises `Cancelled` once the store has a result: what this run comes to is void."""
        if not self._marked and time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        try:
            ended = self._records.result(self._tenant, self.rq_id) is not None
        except StoreError as error:
            _log.warning("whether job %s has ended is unknown: %s", self.rq_id, error)
            return
        if ended:
            raise Cancelled

    def put_back(self) -> None:
        if not self._is_over:
            self.queue.events.queued(self.rq_id)

    def close(self) -> None:
        if not self._is_over:
            super().close()


@contextmanager
def following(line: Line, interrupts: Interrupts) -> Iterator[Tracker]:
    """A tracker that tells how far the task is, and stops it when told to.

    A Redis that is down stops nobody: progress is only shown, never relied on.
    """
    started, told = now(), 0.0

    def tell(stage: str, done: int, total: int) -> None:
        nonlocal told
        told = time.monotonic()
        with _passing_over(line.rq_id):
            line.tell(Progress(stage=stage, done=done, total=total, started_at=started))

    def on_step(stage: str, done: int, total: int) -> None:
        interrupts.check()
        if time.monotonic() - told >= TELL_EVERY:
            tell(stage, done, total)
            line.check()

    tell("fetch", 0, 0)
    try:
        yield Tracker(on_step)
    except BaseException:  # a second SIGTERM too, which is a SystemExit, puts the task back
        with _passing_over(line.rq_id):
            line.put_back()
        raise
    finally:
        with _passing_over(line.rq_id):
            line.close()


@contextmanager
def _passing_over(rq_id: str) -> Iterator[None]:
    try:
        yield
    except QueueError as error:
        _log.warning("how %s fares is not told: %s", rq_id, error)
