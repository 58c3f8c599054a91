"""The report in a terminal: as a table of its modules, or as a heat map where they are many.

Names from the upload are escaped, never interpreted.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from core.findings import Finding, Outcome, printable, refusals
from core.render.terminal_heat import Measure, heat
from core.report import ModuleRow, Report
from core.selection import Reason

STYLES: dict[Outcome, str] = {
    "refused": "red",
    "stripped": "magenta",
    "projected": "cyan",
    "reported": "yellow",
    "noted": "",
}
REASONS: dict[Reason, str] = {
    "below_cut": "below cut",
    "above_cut": "",
    "zero_update": "zero update",
    "no_overlap": "no overlap with V",
    "suspicious": "suspicious",
    "all_modules": "all modules",
    "score_only": "scored only",
}


NUMBERS: Final[dict[str, Callable[[ModuleRow], str]]] = {
    "rank": lambda row: str(row.rank),
    "cosine": lambda row: _number(row.cosine),
    "baseline": lambda row: _number(row.baseline),
    "signed": lambda row: _number(row.signed),
    "energy": lambda row: _number(row.energy),
    "retained": lambda row: _number(row.retained),
    "ratio": lambda row: _number(row.update_ratio),
}
_LEFT_OUT_FIRST: Final = ("energy", "signed", "rank", "baseline", "ratio")
_LEAST_NAME, _GAP = 20, 2

FEW: Final = 40
"""Modules that are read one by one."""


def print_report(report: Report, console: Console, *, table_by: str) -> None:
    """The table of a few modules, the heat map of many, and then that `table_by`, a command, prints
    the table."""
    if len(report.modules) <= FEW:
        print_table(report, console)
        return
    print_heat_map(report, console)
    console.print(Text(f"to see each module: {table_by}"), soft_wrap=True)


def print_table(report: Report, console: Console) -> None:
    """The module table, its summary line and the findings."""
    if report.modules:
        console.print(_table(report.modules, console.width))
    _print_outcome(report, console)


def print_heat_map(report: Report, console: Console, by: Measure | None = None) -> None:
    """The heat map, the summary line and the findings."""
    if report.modules:
        console.print(heat(report.modules, by, console))
        console.print()
    _print_outcome(report, console)


def _print_outcome(report: Report, console: Console) -> None:
    console.print(Text(summary_line(report), style="bold"))
    for found in report.findings:
        console.print(finding_text(found))


def summary_line(report: Report) -> str:
    """The verdict in one line."""
    s = report.summary
    if report.verdict == "rejected":
        return f"rejected: {len(refusals(report.findings))} findings stop it"
    kept = "" if s.retained is None else f"; {s.retained:.1%} of the update's norm is left"
    stripped = f"; {s.stripped} stripped" if s.stripped else ""
    suspicious = f"; {s.suspicious} suspicious" if s.suspicious else ""
    return (
        f"{report.verdict}: {s.projected} of {s.modules} modules projected,"
        f" {s.borderline} borderline{kept}{stripped}{suspicious}"
    )


def finding_text(found: Finding) -> RenderableType:
    """What was found, where, why it matters and what to do."""
    head = f"{found.outcome} {printable(found.code)}: {found.kind} {printable(found.subject)}"
    if found.detail:
        head += f" ({printable(found.detail)})"
    style = STYLES[found.outcome]
    return Group(Text(head, style=style), Text(printable(f"  {found.why} {found.action}")))


def _table(rows: list[ModuleRow], width: int) -> RenderableType:
    """With the numbers that there is room for beside the names."""
    cells = {name: [text(row) for row in rows] for name, text in NUMBERS.items()}
    names = [printable(row.name) for row in rows]
    outcomes = [_outcome(row) for row in rows]
    room = width - _widest("module", names) - _GAP - _widest("outcome", outcomes)
    shown = _fitting({name: _GAP + _widest(name, column) for name, column in cells.items()}, room)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("module", overflow="fold", min_width=_LEAST_NAME)
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("outcome")
    for row, name, outcome, *numbers in zip(
        rows, names, outcomes, *(cells[name] for name in shown), strict=True
    ):
        style = "cyan" if row.projected else None
        table.add_row(escape(name), *numbers, outcome, style=style)
    if missing := [name for name in NUMBERS if name not in shown]:
        note = f"no room for {', '.join(missing)}: the terminal is narrow"
        return Group(table, Text(note, style="dim"))
    return table


def _widest(head: str, column: Iterable[str]) -> int:
    return max(cell_len(text) for text in (head, *column))


def _fitting(widths: Mapping[str, int], room: int) -> list[str]:
    """The columns that fit, left out from the least telling on; never fewer than two."""
    shown = list(widths)
    for name in _LEFT_OUT_FIRST:
        if sum(widths[each] for each in shown) <= room:
            break
        shown.remove(name)
    return shown


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _outcome(row: ModuleRow) -> str:
    parts = ["projected" if row.projected else "kept", REASONS[row.reason]]
    if row.borderline:
        parts.append("borderline")
    if row.refactored:
        parts.append("refactored")
    if row.widened:
        parts.append("float32")
    return ", ".join(part for part in parts if part)
