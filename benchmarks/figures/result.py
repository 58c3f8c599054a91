"""What a benchmark found: tables to read and ratios to hold it to, printed and kept as JSON."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from benchmarks.figures.machine import facts

FOLDER = Path("docs/performance")

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """Rows of cells; a number is shown with three digits. `notes`: sentences below it.

    `drawn`: the columns of numbers that a page shows as bars too, each row a group of them.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    drawn: Sequence[str] = ()


@dataclass(frozen=True)
class Ratio:
    """A figure that was promised: `at_least` or `at_most` its bound."""

    name: str
    value: float
    kind: Literal["at_least", "at_most"]
    bound: float

    @property
    def holds(self) -> bool:
        return self.value >= self.bound if self.kind == "at_least" else self.value <= self.bound

    def __str__(self) -> str:
        sign = "≥" if self.kind == "at_least" else "≤"
        verdict = "holds" if self.holds else "DOES NOT HOLD"
        return f"{self.name}: {shown(self.value)} ({sign} {shown(self.bound)}) {verdict}"


@dataclass(frozen=True)
class Result:
    """`name` is that of the benchmark, and of its JSON file."""

    name: str
    tables: Sequence[Table]
    ratios: Sequence[Ratio] = ()
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    machine: dict[str, str] = field(default_factory=facts)

    def show(self) -> None:
        print(", ".join(f"{name} {value}" for name, value in self.machine.items()))
        for table in self.tables:
            print(f"\n{table.title}\n{as_markdown(table)}")
        for ratio in self.ratios:
            print(ratio)

    def save(self, path: Path | None = None) -> None:
        """As JSON, in the folder of all results unless told where."""
        path = path or FOLDER / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote."""
        kept: dict[str, Any] = json.loads(path.read_text())
        tables = [Table(**table) for table in kept.pop("tables")]
        return cls(tables=tables, ratios=[Ratio(**r) for r in kept.pop("ratios")], **kept)


def finish(result: Result, path: Path | None = None) -> int:
    """Print and keep it; the exit status, 1 if a promised figure does not hold."""
    result.show()
    sys.stdout.flush()
    result.save(path)
    return 0 if all(ratio.holds for ratio in result.ratios) else 1


def as_markdown(table: Table) -> str:
    """A table as GitHub and people read it, its notes below."""
    cells = [[shown(cell) for cell in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(table.columns, *cells, strict=True)]
    head = [name.ljust(width) for name, width in zip(table.columns, widths, strict=True)]
    numeric = [
        all(not isinstance(row[n], str) for row in table.rows) for n in range(len(table.columns))
    ]
    rule = ["-" * (w - 1) + (":" if n else "-") for w, n in zip(widths, numeric, strict=True)]
    body = [
        [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numeric, strict=True)
        ]
        for row in cells
    ]
    notes = "".join(f"\n\n{note}" for note in table.notes)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body)) + notes


def shown(cell: Cell) -> str:
    """Three significant digits, no more than a benchmark is good for."""
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.3g}" if abs(cell) < 1000 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else cell
