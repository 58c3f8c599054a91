"""One input under limits: what is neither accepted nor rejected in time and memory is a fault."""

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from fuzz.ledger import Ledger, Verdict

Target = Callable[[bytes], bool]  # True for accepted, False for rejected; nothing else

SECONDS = 2.0  # of the processor's time: a busy machine is no fault of the input
BYTES = 200 * 10**6  # of memory, beyond the input's own size

_AGAIN = 0.5  # seconds after which one that swallowed the alarm gets it again
_LARGE = 2**20  # bytes of an input whose copy in the ledger would count
_SLACK = 16 * 10**6  # bytes by which the peak may grow before it is measured anew


class Fault(Exception):
    """What a target must never do."""


class _Late(BaseException):
    """The time is up. Not an `Exception`: those are for the target to handle."""


class Guard:
    """Runs a target and keeps the ledger. Raises `Fault`, after it is in the ledger."""

    def __init__(self, target: Target, ledger: Ledger) -> None:
        self._target = target
        self._ledger = ledger
        self._memory = _Memory()
        self._late = False
        signal.signal(signal.SIGPROF, self._alarm)

    def __call__(self, data: bytes) -> None:
        self._ledger.begin(data)
        if len(data) > _LARGE:
            self._memory.reset()
        try:
            with self._limited():
                accepted = self._target(data)
        except BaseException as error:  # SystemExit would end the run as if all were well
            traceback.print_exc()
            raise self._fault("hung" if self._late else "crashed", repr(error)) from error
        if self._late:
            raise self._fault("hung", f"over {SECONDS} s, and the alarm was swallowed")
        grown = self._memory.growth()
        if grown > BYTES + len(data):
            raise self._fault("crashed", f"{grown} bytes of memory for {len(data)} of input")
        self._ledger.end("accepted" if accepted else "rejected")

    def _fault(self, verdict: Verdict, what: str) -> Fault:
        self._ledger.end(verdict)
        return Fault(f"{verdict}: {what[:200]}")

    @contextmanager
    def _limited(self) -> Iterator[None]:
        self._late = False
        signal.setitimer(signal.ITIMER_PROF, SECONDS, _AGAIN)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def _alarm(self, _signal: int, _frame: FrameType | None) -> None:
        self._late = True
        raise _Late(f"over {SECONDS} s of the processor's time")


class _Memory:
    """The peak of this process's resident memory over what it had, as Linux counts it."""

    def __init__(self) -> None:
        self._status = os.open("/proc/self/status", os.O_RDONLY)
        self.reset()

    def growth(self) -> int:
        """Bytes, at most `_SLACK` of them from inputs before."""
        grown = self._read(b"VmHWM:") - self._base
        if grown > _SLACK:
            self.reset()
        return grown

    def reset(self) -> None:
        """What is resident now is the peak, and what is not counted."""
        Path("/proc/self/clear_refs").write_text("5")
        self._base = self._read(b"VmRSS:")

    def _read(self, field: bytes) -> int:
        status = os.pread(self._status, 4096, 0)
        return int(status.partition(field)[2].split(maxsplit=1)[0]) * 1024
