"""Processes that fuzz side by side, and what is left of each when it ends."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from fuzz.child import WALL_SECONDS
from fuzz.ledger import Tally, read_ledger

AT_ONCE = 2
LIBFUZZER_TIMEOUT = 70  # its exit code for an input that took too long by the clock
LONGEST_RUN = 3600.0  # seconds, after which something else than an input has got stuck
LONGEST_INPUT = 60.0 + 2 * WALL_SECONDS  # seconds for one input by itself, and the imports

_ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Job:
    """One child: its target, a folder of its own to be, and the rest of its command line."""

    name: str
    target: str
    folder: Path
    pair: Path
    arguments: tuple[str, ...]
    seconds: float = LONGEST_RUN


@dataclass(frozen=True)
class Outcome:
    """`offender` is the input of the fault, if there was one. `log` is what the child printed.

    `exit_code` is None if it had to be killed.
    """

    job: Job
    tally: Tally
    offender: bytes | None
    exit_code: int | None
    log: str

    def saved(self, folder: Path) -> Path | None:
        """The offender as a file in `folder`, named by its target and its bytes."""
        if self.offender is None:
            return None
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(self.offender).hexdigest()[:16]
        path = folder / f"{self.job.target}-{digest}"
        path.write_bytes(self.offender)
        return path


def run_all(jobs: Sequence[Job]) -> list[Outcome]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(_run, jobs))


def _run(job: Job) -> Outcome:
    """Counts survive the child, however it ends; what it was at then counts as its fault."""
    ledger, log, scratch = (job.folder / name for name in ("ledger", "log", "scratch"))
    scratch.mkdir(parents=True)
    with log.open("wb") as file:
        command = [sys.executable, "-m", "fuzz.child", "--target", job.target]
        command += ["--ledger", str(ledger), "--scratch", str(scratch), "--pair", str(job.pair)]
        exit_code = _wait([*command, *job.arguments], file.fileno(), job.seconds)
    tally, last = read_ledger(ledger)
    ledger.unlink(missing_ok=True)
    if tally.unfinished:
        late = exit_code in (LIBFUZZER_TIMEOUT, None)
        tally = replace(tally, hung=1) if late else replace(tally, crashed=1)
    offender = last if tally.faults else None
    return Outcome(job, tally, offender, exit_code, log.read_text(errors="replace"))


def _wait(command: list[str], log: int, seconds: float) -> int | None:
    """The exit code, None if it had to be killed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, stdout=log, stderr=log, cwd=_ROOT, env=environment)
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return None
