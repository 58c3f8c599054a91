"""From the POST to the end of a job, one client alone: what each kind takes, stage by stage."""

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median

from benchmarks.figures.result import Cell, Ratio, Table
from benchmarks.service.asking import Asked, Client, Job

ENGINE = ("align", "score", "project", "verify")
"""Stages whose time is the mathematics': the last multiplies what was written and compares. Of the
service all others count."""


@dataclass
class Samples:
    """Of one kind of job."""

    asked: list[Asked] = field(default_factory=list)

    def p(self, percent: int) -> float:
        return percentile([one.whole for one in self.asked], percent)

    def stage(self, name: str) -> float:
        """Its median seconds; 0 where there is no such stage."""
        return median(float(one.job.get("timings", {}).get(name, 0.0)) for one in self.asked)

    @property
    def posted(self) -> float:
        return median(one.posted for one in self.asked)

    @property
    def engine(self) -> float:
        return sum(map(self.stage, ENGINE))

    @property
    def queued(self) -> float | None:
        """Median seconds from the job's acceptance until a worker had it in hand."""
        waits = [
            _moment(one.job["started_at"]) - _moment(one.job["created_at"])
            for one in self.asked
            if "started_at" in one.job
        ]
        return median(waits) if waits else None


async def sample(
    client: Client, makers: Mapping[str, tuple[Callable[[], Job], int]], rounds: int
) -> dict[str, Samples]:
    """`rounds` rounds of all kinds in turn; a kind with a stride of n only in each nth round."""
    samples = {name: Samples() for name in makers}
    for make, _ in makers.values():
        for _ in range(2):  # warm: modules in memory, connections open
            await client.run(make())
    order = list(makers)
    for number in range(rounds):
        for name in order:
            make, stride = makers[name]
            if number % stride == 0:
                samples[name].asked.append(await client.run(make()))
        order.reverse()
    return samples


def once(size: int, folder: Path, rounds: int = 9) -> float:
    """Median seconds to write so many bytes to a file there for good, hash them and read them."""
    data = os.urandom(size)
    path = folder / "once"
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        hashlib.sha256(data).digest()
        path.read_bytes()
        taken.append(time.perf_counter() - start)
        path.unlink()
    return median(taken)


def table(samples: Mapping[str, Samples]) -> Table:
    stages = ("fetch", "check", "read", *ENGINE, "write", "publish", "total")
    rows: list[Sequence[Cell]] = [
        [
            name,
            len(found.asked),
            *(1e3 * value for value in (found.p(50), found.p(99), found.posted)),
            None if found.queued is None else 1e3 * found.queued,
            *(1e3 * found.stage(stage) for stage in stages),
        ]
        for name, found in samples.items()
    ]
    return Table(
        "One client, one job at a time (milliseconds)",
        ("job", "samples", "p50", "p99", "POST", "queued", *stages),
        rows,
        ["Stages are medians, as the job's own timings have them; `total` is the worker's."],
    )


def ratios(
    samples: Mapping[str, Samples], noop: str, tiny: str, large: str, reference: float
) -> list[Ratio]:
    """The service's share of what `large` takes over `tiny` against `reference` seconds."""
    added = samples[large].p(50) - samples[large].engine
    added -= samples[tiny].p(50) - samples[tiny].engine
    return [
        Ratio(
            "tiny adapter over no-op, p50",
            samples[tiny].p(50) / samples[noop].p(50),
            "at_most",
            3.0,
        ),
        Ratio(
            f"{large} adds, over writing, hashing and reading it", added / reference, "at_most", 3.0
        ),
    ]


def percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
