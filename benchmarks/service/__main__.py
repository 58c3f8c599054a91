"""What the service around a job costs: next to a job that does nothing, and over many jobs.

`python -m benchmarks.service [--quick] [--store s3]`. API, workers and queue are processes of their
own. The job that does nothing goes through the same API, the same queue and the same worker, and is
waited for in the same way, in the same run. Exits 1 if a promised figure does not hold.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures.result import Ratio, Result, Table, finish
from benchmarks.service import latency, memory, throughput
from benchmarks.service.asking import Client, Job, multipart
from benchmarks.service.made import LARGE, TINY, Kind, Template
from benchmarks.service.noop import PATH
from benchmarks.service.processes import Gate, open_gate
from core.store.settings import StoreSettings
from tests.servers import SeaweedServer, ValkeyServer

NOOP, SMALL, MIDDLE, BIG = "no-op", "tiny", "17 MB", "160 MB"
KINDS = {
    SMALL: Kind(SMALL, TINY, modules=1, rank=2),
    MIDDLE: Kind(MIDDLE, LARGE, modules=32, rank=128),
    BIG: Kind(BIG, LARGE, modules=306, rank=128),
}
RATE_CLIENTS = 64


@dataclass(frozen=True)
class Plan:
    """How much of it: rounds of single jobs, seconds for each rate, jobs for the memory."""

    rounds: int
    strides: dict[str, int]
    seconds: float
    jobs: int


FULL = Plan(200, {NOOP: 1, SMALL: 1, MIDDLE: 10, BIG: 50}, 3.0, memory.JOBS)
QUICK = Plan(30, {NOOP: 1, SMALL: 1, MIDDLE: 10}, 0.7, 50)


def noop() -> Job:
    return Job(PATH, b"", "")


def adapter(template: Template) -> Job:
    return multipart("/v1/jobs", template.another())


async def speed(gate: Gate, plan: Plan, folder: Path) -> tuple[list[Table], list[Ratio]]:
    makers = {NOOP: noop} | {
        name: partial(adapter, KINDS[name].template()) for name in plan.strides if name != NOOP
    }
    async with Client(gate.port, gate.key) as client:
        kinds = {name: (makers[name], stride) for name, stride in plan.strides.items()}
        samples = await latency.sample(client, kinds, plan.rounds)
    reference = latency.once(len(KINDS[MIDDLE].template().weights), folder)
    ratios = latency.ratios(samples, NOOP, SMALL, MIDDLE, reference)
    compared = {name: makers[name] for name in (NOOP, SMALL)}
    rates, costs = await throughput.measure(gate, compared, 1, plan.seconds)
    gate.start_worker("second worker")
    more = await throughput.measure(gate, compared, 2, plan.seconds)
    gate.stop("second worker")
    share = rates[SMALL, RATE_CLIENTS, 1] / rates[NOOP, RATE_CLIENTS, 1]
    ratios.append(Ratio("rate of tiny adapters over no-ops, one worker", share, "at_least", 0.5))
    tables = [
        latency.table(samples),
        Table(
            "Once, outside the service (milliseconds)",
            ("work", "median"),
            [["17 MB written for good, hashed and read", 1e3 * reference]],
        ),
        throughput.table(rates | more[0], costs | more[1]),
    ]
    return tables, ratios


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=["local", "s3"], default="local")
    parser.add_argument("--quick", action="store_true", help="under a minute, rougher")
    parser.add_argument("--only", choices=["speed", "memory"], help="one half of it")
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else FULL
    status = 0
    with TemporaryDirectory(prefix="safelora-benchmark-") as name, ExitStack() as stack:
        folder = Path(name)
        valkey = stack.enter_context(ValkeyServer())
        store = StoreSettings(path=folder / "store")
        if options.store == "s3":
            seaweed = stack.enter_context(SeaweedServer())
            store = StoreSettings(kind="s3", s3=seaweed.settings())
        if options.only != "memory":
            with open_gate(store, valkey.url, folder / "speed") as gate:
                for pair in (TINY, LARGE):
                    gate.register(pair, folder, store)
                tables, ratios = asyncio.run(speed(gate, plan, folder))
            suffix = "" if options.store == "local" else f"-{options.store}"
            status |= finish(Result(f"service{suffix}", tables, ratios))
        if options.only != "speed":
            with open_gate(store, valkey.url, folder / "memory", ram_bytes=memory.BUDGET) as gate:
                if options.only == "memory":
                    for pair in (TINY, LARGE):
                        gate.register(pair, folder, store)
                tiny, large = (partial(adapter, KINDS[n].template()) for n in (SMALL, MIDDLE))
                found = asyncio.run(memory.measure(gate, tiny, large, plan.jobs))
            status |= finish(memory.result(found, plan.jobs))
    return status


if __name__ == "__main__":
    sys.exit(main())
