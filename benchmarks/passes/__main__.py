"""`python -m benchmarks.passes [--quick]`: eight adapters of rank 8 at once; see the package.

Llama-2-7B's q and v, V in 16 bits, from the process's own memory and from the disk's page cache.
Takes a minute or two, 2.3 GB of disk (shared with `benchmarks.adapter`) and 5 GB of memory;
`--quick` takes a few layers, and keeps no figures.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.adapter.engine import POLICY
from benchmarks.adapter.made import Case as Made
from benchmarks.adapter.made import make_adapter, make_alignment
from benchmarks.figures.clock import Times, in_turn
from benchmarks.figures.result import Cell, Ratio, Result, Table, finish
from core.alignments import Manifest
from core.report import Report
from worker.adapter import AdapterFiles
from worker.alignment.source import StoredAlignment
from worker.alignment.tiers import Folder, ModuleLoader, RamTier
from worker.judging import Case, judge_all, judge_one
from worker.pipeline import BaseNames, Order, conclude, read
from worker.tracking import Tracker

MADE = Made("Llama-2-7B", ("q_proj", "v_proj"), 8, "BF16", 32)
TOGETHER = 8
ROUNDS = 4
BOUND = 2.0
NO_BOUND = 2**40
FROM = {"memory": NO_BOUND, "disk": 0}  # bytes that stay warm


class Bench:
    """One alignment, and as many adapters for it."""

    def __init__(self, manifest: Manifest, folder: Path, ram: int, scratch: Path) -> None:
        loader = ModuleLoader(manifest, Folder(folder), RamTier(ram), torch.device("cpu"))
        self.alignment = StoredAlignment(manifest, loader, name=None)
        self.scratch = scratch
        self.cases = [self._case(number) for number in range(TOGETHER)]

    def passes(self) -> dict[str, Callable[[], object]]:
        """Judging alone: reading V, its products, scores, and what is projected."""
        first, others = self.cases[0], self.cases[1:]
        return {
            "one": lambda: judge_one(first, self.alignment, Tracker()),
            "together": lambda: judge_all(first, others, self.alignment, Tracker(), until=math.inf),
            "in turn": lambda: [judge_one(c, self.alignment, Tracker()) for c in self.cases],
        }

    def jobs(self) -> dict[str, Callable[[], object]]:
        """The same with each adapter checked, read, written and verified."""
        return {
            "one": lambda: self._jobs([0]),
            "together": lambda: self._jobs(range(TOGETHER)),
            "in turn": lambda: [self._jobs([n]) for n in range(TOGETHER)],
        }

    def _jobs(self, numbers: Sequence[int]) -> list[Report]:
        tracker = Tracker()
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            orders = [self._order(number, Path(folder)) for number in numbers]
            adapters = [read(order, self.alignment, tracker) for order in orders]
            cases = [Case(adapter.modules, POLICY) for adapter in adapters]
            own, others = judge_all(cases[0], cases[1:], self.alignment, tracker, until=math.inf)
            return [
                conclude(order, adapter, judged or [], self.alignment, tracker)
                for order, adapter, judged in zip(orders, adapters, [own, *others], strict=True)
            ]

    def _case(self, number: int) -> Case:
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            order = self._order(number, Path(folder))
            return Case(read(order, self.alignment, Tracker()).modules, POLICY)

    def _order(self, number: int, folder: Path) -> Order:
        output = folder / f"output-{number}"
        output.mkdir()
        files = AdapterFiles(self.scratch / f"adapter-{number}")
        return Order(files, POLICY, output, BaseNames())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench-adapter"))
    options = parser.parse_args()
    made = replace(MADE, layers=4) if options.quick else MADE
    manifest = make_alignment(options.folder, made)
    rows: list[list[Cell]] = []
    ratios: list[Ratio] = []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(TOGETHER):
            make_adapter(Path(scratch) / f"adapter-{number}", made, seed=number)
        for place, ram in FROM.items():
            bench = Bench(manifest, options.folder / manifest.id, ram, Path(scratch))
            for what, works in (("the pass", bench.passes()), ("whole jobs", bench.jobs())):
                times = in_turn(works, ROUNDS)
                rows.append(_row(place, what, times))
                if what == "the pass":
                    ratio = times["together"].best / times["one"].best
                    name = f"{TOGETHER} in one pass over one alone, from {place}"
                    ratios.append(Ratio(name, ratio, "at_most", BOUND))
    drawn = ("one alone, s", "eight together, s", "eight in turn, s")
    columns = ("V from", "time of", *drawn, "together over one", "together over in turn")
    table = Table(f"Eight adapters: {made.title}", columns, rows, drawn=drawn)
    result = Result("passes", [table], ratios)
    if options.quick:
        result.show()
        return 0
    return finish(result)


def _row(place: str, what: str, times: dict[str, Times]) -> list[Cell]:
    one, together, turn = (times[name].best for name in ("one", "together", "in turn"))
    return [place, what, one, together, turn, together / one, together / turn]


if __name__ == "__main__":
    sys.exit(main())
