"""Tables and promised figures as bars."""

import re
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.figures.bars import Bars, Group, picture
from benchmarks.figures.result import Cell, Ratio, Result, Table

PROMISED = "promised.svg"


def pictures(results: Mapping[str, Result]) -> Iterator[tuple[str, str]]:
    """Names and texts of all there are."""
    ratios = [ratio for result in results.values() for ratio in result.ratios]
    if ratios:
        yield PROMISED, picture(promised_bars(ratios))
    for name, result in results.items():
        for table in result.tables:
            if table.drawn:
                yield file_name(name, table), picture(bars_of(table))


def promised_bars(ratios: Sequence[Ratio]) -> Bars:
    """How many times as good as promised each is."""
    groups = [
        Group(r.name, [r.value / r.bound if r.kind == "at_least" else r.bound / r.value])
        for r in ratios
    ]
    unit = "times as good as promised"
    return Bars("Figures that were promised", unit, [unit], groups, line=(1.0, "promised"))


def bars_of(table: Table) -> Bars:
    """The columns that are to be drawn; rows are named by the words and whole numbers before.

    What the columns' names all end in behind a comma is the unit.
    """
    columns = list(table.columns)
    places = [columns.index(name) for name in table.drawn]
    groups = [
        Group(_row_name(columns, row, min(places)), [_number(row[place]) for place in places])
        for row in table.rows
    ]
    parts = [name.rpartition(", ") for name in table.drawn]
    units = {unit for _, _, unit in parts}
    if len(units) == 1 and all(series for series, _, _ in parts):
        return Bars(table.title, units.pop(), [series for series, _, _ in parts], groups)
    unit = table.drawn[0] if len(table.drawn) == 1 else ""
    return Bars(table.title, unit, table.drawn, groups)


def file_name(benchmark: str, table: Table) -> str:
    words = re.findall(r"[a-z0-9]+", table.title.lower().replace("µ", "u"))
    return f"{benchmark}-{'-'.join(words)}.svg"


def _row_name(columns: Sequence[str], row: Sequence[Cell], end: int) -> str:
    cells = zip(columns[:end], row, strict=False)
    return ", ".join(
        cell if isinstance(cell, str) else f"{name} {cell}"
        for name, cell in cells
        if isinstance(cell, str | int)
    )


def _number(cell: Cell) -> float | None:
    """Raises `TypeError` for words, which no column that is drawn may have."""
    if isinstance(cell, str):
        raise TypeError(f"{cell!r} cannot be drawn")
    return cell
