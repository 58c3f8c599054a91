"""What API and worker hold in memory over many jobs, of an alignment larger than the worker's RAM
tier among others."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from statistics import mean

from benchmarks.figures.result import Cell, Ratio, Result, Table
from benchmarks.service.asking import Client, Job
from benchmarks.service.processes import MIB, Gate

JOBS = 1000
LARGE_EVERY = 10
BUDGET = 64 * MIB
_PARTS = ("API", "worker")
ALLOWED_GROWTH = 1.02
ALLOWED_PEAK = 500 * MIB


@dataclass
class Memory:
    """Bytes resident, by part: at every tenth job; the most there ever were."""

    resident: dict[str, list[int]] = field(default_factory=lambda: {part: [] for part in _PARTS})
    peak: dict[str, int] = field(default_factory=dict)


async def measure(
    gate: Gate, tiny: Callable[[], Job], large: Callable[[], Job], jobs: int
) -> Memory:
    found = Memory()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(gate.port, gate.key))
        for number in range(jobs):
            await client.run((tiny if number % LARGE_EVERY else large)())
            if number % LARGE_EVERY == LARGE_EVERY - 1:
                for part in _PARTS:
                    now, found.peak[part] = gate.memory(part)
                    found.resident[part].append(now)
    return found


def result(memory: Memory, jobs: int) -> Result:
    rows: list[Sequence[Cell]] = []
    ratios = []
    for part in _PARTS:
        fifths = _fifths(memory.resident[part])
        rows.append([part, *(value / MIB for value in fifths), memory.peak[part] / MIB])
        if jobs >= JOBS:
            growth = fifths[-1] / fifths[len(fifths) // 2]
            ratios.append(
                Ratio(f"{part}, last fifth over the third", growth, "at_most", ALLOWED_GROWTH)
            )
    over = (memory.peak["worker"] - BUDGET) / MIB
    ratios.append(
        Ratio("worker's peak over its RAM tier, MiB", over, "at_most", ALLOWED_PEAK / MIB)
    )
    table = Table(
        f"Resident memory over {jobs} jobs (MiB), mean of each fifth of them",
        ("process", "1st", "2nd", "3rd", "4th", "5th", "peak"),
        rows,
        [
            f"Every {LARGE_EVERY}th adapter has 17 MB, for an alignment larger than the"
            f" {BUDGET // MIB} MiB that the worker may keep of them."
        ],
    )
    return Result("memory", [table], ratios)


def _fifths(values: list[int]) -> list[float]:
    size = len(values) // 5
    return [mean(values[n * size : (n + 1) * size]) for n in range(5)]
