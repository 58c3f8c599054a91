"""Why a running job stops: it was cancelled, or it goes back to the queue for another time."""

from threading import Event
from typing import Final

from rq.timeouts import BaseTimeoutException


class Cancelled(Exception):
    """The job was cancelled; it ends as such."""


class Drained(Exception):
    """The worker is shutting down; the job goes back to the queue."""


class StoreAway(Exception):
    """The object store answers nobody; the job goes back to the queue until it does."""


INTERRUPTIONS: Final = (Cancelled, Drained, StoreAway, BaseTimeoutException)
"""What stops a job from outside, and must reach whoever runs it."""


class Interrupts:
    """Flags set from signal handlers and other threads, read between modules."""

    def __init__(self) -> None:
        self.cancel = Event()
        self.drain = Event()

    def check(self) -> None:
        """Raises `Cancelled` or `Drained` if a flag is up."""
        if self.cancel.is_set():
            raise Cancelled
        if self.drain.is_set():
            raise Drained
