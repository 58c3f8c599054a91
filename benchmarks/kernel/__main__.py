"""`python -m benchmarks.kernel [--quick]`: one module of each shape and rank; see the package.

Each row's ways are timed in turn in one run, on one matrix V after the other so that no cache holds
it, and the best round counts. `--quick`: the first shape only. All of it takes some minutes, most
of them for the dense way.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Sequence

import torch

from benchmarks.figures.clock import in_turn
from benchmarks.figures.dense import projected, projection
from benchmarks.figures.result import Cell, Ratio, Result, Table, finish
from benchmarks.kernel import limits
from benchmarks.kernel.limits import Limits
from benchmarks.kernel.shapes import RANKS, SHAPES, SQUARE, Shape
from benchmarks.kernel.ways import Case
from worker.projection import native

BEYOND_CACHE = 2**28  # bytes of all the matrices that are taken in turn
OURS_ROUNDS = 30
DENSE_ROUNDS = 3
LARGE = 2**26  # elements of V from which one round has to do
ADAPTERS = {torch.bfloat16: "16-bit", torch.float32: "float32"}
TIMES = ("ours, ms", "torch's, ms", "C ready, ms", "C made, ms")
COLUMNS = (
    "modules", "shape", "r", "adapter", *TIMES, "× ready", "× made",
    "2 reads, ms", "of memory", "arithmetic, ms", "of arithmetic", "error",
)  # fmt: skip
PROMISED_RANK = 16
AT_LEAST = (
    ("times the published way with C ready", "× ready", 50.0),
    ("times the published way with C made", "× made", 300.0),
    ("of the memory's pace", "of memory", 0.65),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    can = limits.measure()
    rows = [row for shape in SHAPES[: 1 if options.quick else None] for row in _rows(shape, can)]
    notes = [
        f"Memory is read at {can.memory / 1e9:.1f} GB/s; products of square matrices come at "
        + " and ".join(
            f"{rate / 1e9:.0f} G multiplications a second in {str(dtype).removeprefix('torch.')}"
            for dtype, rate in can.products.items()
        )
        + f". With {native.describe()}.",
        "V is in bfloat16 throughout. *torch's*: the same formulas where `thin.c` is not compiled."
        " *of memory*: two reads of V at the memory's pace over ours;"
        " *of arithmetic*: the same for both products' multiplications at the pace of square ones.",
    ]
    square = [row for row in rows if row[1] == str(SQUARE)]
    others = [row for row in rows if row[1] != str(SQUARE)]
    tables = [
        Table(f"Projection and cosine, {SQUARE}", COLUMNS, square, drawn=TIMES),
        Table("Projection and cosine, all other shapes", COLUMNS, others, notes),
    ]
    return finish(Result("kernel", tables, _promises(square)))


def _rows(shape: Shape, can: Limits) -> Iterator[list[Cell]]:
    case = Case.random(shape, 1, torch.bfloat16)
    started = time.perf_counter()
    c = projection(case.v)
    making = time.perf_counter() - started
    for rank, dtype in itertools.product(RANKS, ADAPTERS):
        yield _row(shape, rank, dtype, c, making, can)


def _row(
    shape: Shape, rank: int, dtype: torch.dtype, c: torch.Tensor, making: float, can: Limits
) -> list[Cell]:
    """`making` C took so many seconds; it is the same for every adapter."""
    first = Case.random(shape, rank, dtype)
    copies = max(1, BEYOND_CACHE // (2 * shape.elements))
    cases = [first, *(Case.random(shape, rank, dtype) for _ in range(copies))]
    for case in cases:
        _ = case.norm
    times = in_turn({str(n): case.ours for n, case in enumerate(cases)}, _rounds(cases))
    ours = min(of_one.best for of_one in times.values())
    rounds = DENSE_ROUNDS if shape.elements < LARGE else 1
    others = in_turn({"torch": first.by_torch, "dense": lambda: projected(c, first.update)}, rounds)
    torchs, ready = others["torch"].best, others["dense"].best
    reading = can.reading(2 * shape.elements)
    multiplying = can.multiplying(shape.elements, rank, dtype)
    return [
        shape.modules, str(shape), rank, ADAPTERS[dtype], 1e3 * ours, 1e3 * torchs, 1e3 * ready,
        1e3 * (making + ready), ready / ours, (making + ready) / ours, 1e3 * reading,
        reading / ours, 1e3 * multiplying, multiplying / ours, f"{first.error():.1e}",
    ]  # fmt: skip


def _rounds(cases: Sequence[Case]) -> int:
    return max(2, OURS_ROUNDS // len(cases))


def _promises(rows: Sequence[Sequence[Cell]]) -> list[Ratio]:
    """Of the square shape at rank 16."""
    promised: list[Ratio] = []
    for row in rows:
        found = dict(zip(COLUMNS, row, strict=True))
        if found["r"] != PROMISED_RANK:
            continue
        name = f"{SQUARE}, r = {PROMISED_RANK}, {found['adapter']} adapter"
        error = float(str(found["error"]))
        if found["adapter"] == ADAPTERS[torch.float32]:
            promised.append(Ratio(f"{name}: error", error, "at_most", 1e-5))
            continue
        promised += [
            Ratio(f"{name}: {what}", float(found[column] or 0.0), "at_least", bound)
            for what, column, bound in AT_LEAST
        ]
        promised.append(Ratio(f"{name}: error", error, "at_most", 5e-3))
    return promised


if __name__ == "__main__":
    sys.exit(main())
