"""How long sanitizing an adapter takes, by where its alignment lies, next to the least it could.

`python -m benchmarks.adapter [--quick]`. All are timed in one run, in
turn; what counts are the ratios. Takes some minutes, 6 GB of disk and 10 GB of memory; `--quick`
takes the first alignment only, a few of its layers, and under a minute; it keeps no figures.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.adapter.engine import Engine
from benchmarks.adapter.least import read_files
from benchmarks.adapter.made import Case, make_adapter, make_alignment
from benchmarks.adapter.tiers import Measured, measure_cold, measure_fetched, measure_near
from benchmarks.figures.result import Cell, Ratio, Result, Table, finish
from core.store.local import LocalStore

LLAMA_2, LLAMA_3 = "Llama-2-7B", "Llama-3-8B"
Q_V = ("q_proj", "v_proj")
ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
CASES = (
    Case(LLAMA_2, Q_V, 8, "BF16", 32),
    Case(LLAMA_2, Q_V, 8, "BF16", 32, adapter="F32"),
    Case(LLAMA_2, ALL, 16, "F16", 4),
    Case(LLAMA_3, ALL, 16, "BF16", 4),
)
QUICK = replace(CASES[0], layers=4)
STAGES = ("check", "read", "align", "score", "project", "write", "verify")
RAM_FACTOR, DISK_FACTOR = 1.5, 1.3


@dataclass(frozen=True)
class Rounds:
    near: int
    far: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench-adapter"))
    arguments = parser.parse_args()
    cases = [QUICK] if arguments.quick else CASES
    rounds = Rounds(near=3, far=1) if arguments.quick else Rounds(near=5, far=1)
    measured = [row for case in cases for row in _measure(case, arguments.folder, rounds)]
    result = _result(measured)
    if arguments.quick:
        result.show()
        return 0
    return finish(result)


def _measure(case: Case, cache: Path, rounds: Rounds) -> Iterator[Measured]:
    print(f"{case.title} …", file=sys.stderr, flush=True)
    manifest = make_alignment(cache, case)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        adapter = make_adapter(Path(scratch) / "adapter", case)
        engine = Engine(manifest, adapter, cache, LocalStore(Path(scratch) / "empty"))
        read_files(engine.files)
        yield from measure_near(case.title, engine, rounds.near)
        yield measure_cold(case.title, engine, rounds.far)
        yield from measure_fetched(case.title, engine, Path(scratch), rounds.far)


def _result(measured: Sequence[Measured]) -> Result:
    columns = ("alignment", "from", "GB", "engine, s", "least, s", "ratio", "least is", *STAGES)
    rows = [_row(one) for one in measured]
    notes = (
        "engine: all of `sanitize`, the median of the rounds; GB: the alignment's files.",
        "The seconds of the stages are those of the last round.",
    )
    ratios = [
        Ratio(f"{one.title}, {one.tier}", one.ratio, "at_most", bound)
        for one in measured
        for tier, bound in (("RAM", RAM_FACTOR), ("disk", DISK_FACTOR))
        if one.tier == tier
    ]
    return Result("adapter", [Table("Sanitizing an adapter", columns, rows, notes)], ratios)


def _row(one: Measured) -> list[Cell]:
    stages: list[Cell] = [one.stages.get(stage, 0.0) for stage in STAGES]
    return [one.title, one.tier, one.gigabytes, one.engine, one.least, one.ratio, one.of, *stages]


if __name__ == "__main__":
    sys.exit(main())
