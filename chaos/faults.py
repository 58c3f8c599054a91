"""What is done to the running stack: each fault is over, or healed, when `inject` returns."""

import contextlib
import logging
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Protocol

from chaos.parts import KINDS
from chaos.processes import Stack
from chaos.proxy import Mode
from core.settings import QueueSettings

SECONDS = 10.0
GRACE_SECONDS = 10.0  # from SIGTERM to SIGKILL, as docker gives
LONGER_THAN_LEASE = 1.5 * QueueSettings().lease  # of a job, which another worker then takes over
_COPIES = "[!.]*/*"  # what lies in a folder with a dot is being built
_TRUNCATE_AFTER = (0, 100, 600, 20_000)  # bytes: of the head, or of the body

_log = logging.getLogger(__name__)


class Fault(Protocol):
    """`name` tells faults apart in what is measured."""

    @property
    def name(self) -> str: ...

    def inject(self, stack: Stack, random: Random) -> str:
        """Returns what it did, in words, once it is over."""
        ...


@dataclass(frozen=True)
class Kill:
    """SIGKILL to one process of this kind."""

    kind: str

    @property
    def name(self) -> str:
        return f"kill {self.kind}"

    def inject(self, stack: Stack, random: Random) -> str:
        part, process = _victim(stack, self.kind, random)
        process.kill()
        process.wait()
        return _told(f"killed {part} (process {process.pid})")


@dataclass(frozen=True)
class Terminate:
    """SIGTERM to one process of this kind, and SIGKILL if it is still there after the grace."""

    kind: str

    @property
    def name(self) -> str:
        return f"terminate {self.kind}"

    def inject(self, stack: Stack, random: Random) -> str:
        part, process = _victim(stack, self.kind, random)
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return _told(f"killed {part}, which did not end on SIGTERM in {GRACE_SECONDS:.0f} s")
        return _told(f"terminated {part}, which ended with {process.returncode}")


@dataclass(frozen=True)
class Freeze:
    """SIGSTOP to one process of this kind, and SIGCONT later."""

    kind: str
    seconds: float = SECONDS

    @property
    def name(self) -> str:
        return f"freeze {self.kind} {self.seconds:.0f} s"

    def inject(self, stack: Stack, random: Random) -> str:
        part, process = _victim(stack, self.kind, random)
        process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(self.seconds)
        finally:
            process.send_signal(signal.SIGCONT)
        return _told(f"froze {part} for {self.seconds:.0f} s")


@dataclass(frozen=True)
class Wipe:
    """The queue's Valkey forgets everything."""

    name: str = "wipe valkey"

    def inject(self, stack: Stack, random: Random) -> str:  # noqa: ARG002  (as all faults)
        with stack.redis() as redis:
            keys = redis.dbsize()
            redis.flushall()
        return _told(f"wiped valkey, which held {keys} keys")


@dataclass(frozen=True)
class StoreTrouble:
    """The proxy before the object store fails in this mode."""

    mode: Mode
    seconds: float = SECONDS

    @property
    def name(self) -> str:
        return f"store {self.mode}"

    def inject(self, stack: Stack, random: Random) -> str:
        stack.proxy.keep = random.choice(_TRUNCATE_AFTER)
        stack.proxy.mode = self.mode
        try:
            time.sleep(self.seconds)
        finally:
            stack.proxy.mode = "pass"
        cut = f", answers cut after {stack.proxy.keep} bytes" if self.mode == "truncate" else ""
        return _told(f"object store: {self.mode} for {self.seconds:.0f} s{cut}")


@dataclass(frozen=True)
class DiskFull:
    """The kernel refuses a worker to write files, whose copies of alignments are gone too.

    By its limit on the size of a file: a write past it raises EFBIG where a full disk gives ENOSPC.
    """

    seconds: float = SECONDS
    name: str = "disk full"

    def inject(self, stack: Stack, random: Random) -> str:
        worker, process = _victim(stack, "worker", random)
        copies = list(stack.cache(worker).glob(_COPIES))
        largest = max((path.stat().st_size for path in copies), default=0)
        limit = random.choice((0, max(0, largest - 1)))
        with file_limit(process, limit):
            for path in copies:
                path.unlink(missing_ok=True)
            time.sleep(self.seconds)
        return _told(
            f"{worker} lost {len(copies)} copies of alignments, and for {self.seconds:.0f} s"
            f" could write no file past {limit} bytes"
        )


FAULTS: tuple[Fault, ...] = (
    *(Kill(kind) for kind in KINDS),
    *(Terminate(kind) for kind in KINDS),
    *(Freeze(kind) for kind in KINDS),
    Freeze("worker", LONGER_THAN_LEASE),
    Wipe(),
    StoreTrouble("reset"),
    StoreTrouble("blackhole"),
    StoreTrouble("latency"),
    StoreTrouble("truncate"),
    DiskFull(),
)


def choose(random: Random) -> Fault:
    """One of all, each as likely."""
    return random.choice(FAULTS)


@contextmanager
def file_limit(process: subprocess.Popen[bytes], size: int) -> Iterator[None]:
    """While the block runs, the process can make no file longer than `size` bytes."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)


def _victim(stack: Stack, kind: str, random: Random) -> tuple[str, subprocess.Popen[bytes]]:
    """A part of this kind and its process, once that runs."""
    part = random.choice(stack.parts(kind))
    while (process := stack.process(part)).poll() is not None:
        time.sleep(0.1)
    return part, process


def _told(what: str) -> str:
    _log.info("fault: %s", what)
    return what
