"""`python -m benchmarks.methods > docs/methods.md`: measure all methods, write the page.

Under two minutes with OMP_NUM_THREADS=1, and 1.3 GB of memory.
"""

import sys
from pathlib import Path
from string import Template

from benchmarks.methods.made import RANKS, SHAPES, Adapted, adapters, make
from benchmarks.methods.measure import Timed, on_golden, on_shape, rounded, timed
from benchmarks.methods.tables import (
    bytes_table,
    golden_table,
    rounded_table,
    shape_table,
    time_table,
)
from worker.alignment.make import LoadedModule

PAGE = Path(__file__).with_name("page.md")


def main() -> None:
    tables = {"golden": golden_table(on_golden()), "bytes": bytes_table()}
    times: dict[str, list[Timed]] = {}
    for out, in_ in SHAPES:
        loaded = make(out, in_)
        made = adapters(loaded.tensors)
        tables[f"shape_{out}_{in_}"] = shape_table(made, on_shape(loaded, made))
        times[f"{out} × {in_}"] = timed(loaded, made)
        if out == in_:
            tables["rounded"] = _rounded(loaded, made)
    tables["times"] = time_table(times)
    tables["milliseconds"] = " and ".join(f"{1000 * t[0].with_v:.0f}" for t in times.values())
    sys.stdout.write(Template(PAGE.read_text()).substitute(tables))


def _rounded(loaded: LoadedModule, made: list[Adapted]) -> str:
    kinds = ("random", "along V", "half along V")
    ones = [a for a in made if a.kind in kinds and a.rank == max(RANKS)]
    return rounded_table(rounded(loaded, ones))


if __name__ == "__main__":
    main()
