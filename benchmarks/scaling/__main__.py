"""How the service grows with its workers: `python -m benchmarks.scaling [--quick]`, five minutes.

Two cores compute no faster for four workers, so the store is made slow: what is measured is how
well jobs that wait for it are done side by side.
"""

import argparse
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Timer

from benchmarks.figures.result import Cell, Ratio, Result, Table, finish
from benchmarks.scaling.gates import PAUSE, Scaled, scaled, succeeded
from tests.servers import ValkeyServer

WORKERS = (1, 2, 4)
CLIENTS = 16
_SERVED = re.compile(r"alignment \w+: \d+ modules from ([\w, ]*)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter, and less to rely on")
    seconds = 8.0 if parser.parse_args().quick else 40.0
    with tempfile.TemporaryDirectory(prefix="scaling-") as scratch:
        folder = Path(scratch)
        grown, ratios = growth(folder, seconds)
        tables = [grown, tiers(folder / "tiers"), death(folder / "death", seconds)]
    return finish(Result("scaling", tables, ratios))


def growth(folder: Path, seconds: float) -> tuple[Table, list[Ratio]]:
    """Jobs a second by the number of workers."""
    rates: dict[int, float] = {}
    rows: list[Sequence[Cell]] = []
    for workers in WORKERS:
        with scaled(folder / f"with-{workers}", workers) as service:
            service.ask(2 * workers)  # each has what it needs on its disk
            before = cpu(service)
            rates[workers], asked = service.ask(CLIENTS, seconds=seconds)
            used = (cpu(service) - before) / len(asked)
            waited = sorted(one.whole for one in asked)
        growth = rates[workers] / rates[WORKERS[0]]
        rows.append([workers, rates[workers], growth, waited[len(waited) // 2], 1e3 * used])
    table = Table(
        "Jobs a second, with a store that is far away",
        ("workers", "jobs/s", "× one worker", "p50 s", "CPU ms a job"),
        rows,
        [
            f"{CLIENTS} clients of two APIs; each chunk to and from the store {PAUSE * 1e3:.0f} ms"
            " late. `CPU`: of the APIs and the workers."
        ],
    )
    bounds = ((2, 1.8), (4, 3.2))
    return table, [
        Ratio(f"{n} workers over one", rates[n] / rates[1], "at_least", bound)
        for n, bound in bounds
    ]


def tiers(folder: Path) -> Table:
    """Where each of four workers found the alignment that one of them had used before."""
    rows: list[Sequence[Cell]] = []
    with (
        ValkeyServer("--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru") as cache,
        scaled(folder, 4, cache_url=cache.url) as service,
    ):
        service.ask(1)
        service.ask(CLIENTS, seconds=4.0)
        for name in service.stack.workers:
            served = _SERVED.findall(service.stack.log(name).read_text())
            rows.append([name, len(served), served[0], served[-1]])
    return Table(
        "Modules of the alignment, by where a worker found them",
        ("worker", "jobs", "its first job", "its last job"),
        rows,
        ["Each worker has a disk of its own; the cache is a Valkey that all of them share."],
    )


def death(folder: Path, seconds: float) -> Table:
    """The same jobs with four workers, one of which is killed in the middle of it."""
    rows: list[Sequence[Cell]] = []
    with scaled(folder, 4) as service:
        service.ask(8)
        for words, kills in (("none", False), ("one, killed with a job in its hands", True)):
            killed = Timer(seconds / 2, kill, (service,)) if kills else None
            if killed is not None:
                killed.start()
            start = time.perf_counter()
            _, asked = service.ask(CLIENTS, seconds=seconds)
            took = time.perf_counter() - start
            whole = sorted(one.whole for one in asked)
            rows.append(
                [
                    words,
                    len(asked),
                    succeeded(asked),
                    len(asked) / took,
                    whole[-1],
                    restarts(service),
                ]
            )
    return Table(
        "What the death of a worker costs",
        ("dead workers", "jobs", "succeeded", "jobs/s", "slowest s", "started again"),
        rows,
        ["A worker that is silent for 15 s is taken for dead, and its job given to another."],
    )


def kill(service: Scaled) -> None:
    os.kill(service.stack.process("worker-1").pid, signal.SIGKILL)


def restarts(service: Scaled) -> int:
    return sum(service.stack.restarts.values())


def cpu(service: Scaled) -> float:
    """Seconds of processor that the APIs and the workers have used so far."""
    used = 0
    for name in (*service.stack.parts("api"), *service.stack.workers):
        stat = Path(f"/proc/{service.stack.process(name).pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
