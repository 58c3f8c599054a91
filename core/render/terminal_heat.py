"""The modules of a report as a heat map in a terminal: in colours, or in bars where it has none.

`*` marks the modules that were projected, with colours and without.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from core.findings import printable
from core.render.heat import HeatMap, heat_map
from core.render.scales import round_above
from core.report import ModuleRow

Measure = Literal["cosine", "retained", "signed", "update_ratio"]

DIGITS: Final = "0123456789"
BARS: Final = "▁▂▃▄▅▆▇█"
# From the 256 of a terminal, dark to light as Viridis is: told apart without red or green.
SEQUENTIAL: Final = (
    *("#ffffff on #5f005f", "#ffffff on #5f00af", "#ffffff on #005f87", "#ffffff on #005fd7"),
    *("#ffffff on #0087af", "#000000 on #00af87", "#000000 on #5fd75f", "#000000 on #afd700"),
    *("#000000 on #ffd700", "#000000 on #ffff87"),
)
# To orange below zero and to blue above, for two steps each.
BELOW_ZERO: Final = (
    *("#000000 on #ffffd7", "#000000 on #ffd7af", "#000000 on #ffaf5f", "#000000 on #ff8700"),
    "#000000 on #d75f00",
)
ABOVE_ZERO: Final = (
    *("#000000 on #d7ffff", "#000000 on #afd7ff", "#000000 on #5fafff", "#000000 on #0087d7"),
    "#ffffff on #005faf",
)

_TICK: Final = 5
_NONE, _ABSENT, _PROJECTED = "-", ".", "*"

Value = Callable[[ModuleRow], float | None]


@dataclass(frozen=True)
class Scale:
    """Steps from 0 to `top`, to both sides of 0 if `signed`."""

    top: float
    signed: bool
    coloured: bool

    @property
    def symbols(self) -> str:
        return DIGITS if self.coloured else BARS

    @property
    def width(self) -> int:
        """Of a cell, with its mark."""
        return 3 if self.signed else 2

    @property
    def values(self) -> list[float]:
        """One of each step, the lowest first."""
        steps = [(at + 0.5) * self.top / len(self.symbols) for at in range(len(self.symbols))]
        return [-value for value in reversed(steps)] * self.signed + steps

    def text(self, value: float) -> str:
        sign = ("-" if value < 0 else "+") if self.signed else ""
        return sign + self.symbols[self._step(value)]

    def style(self, value: float) -> str:
        if not self.coloured:
            return ""
        if not self.signed:
            return SEQUENTIAL[self._step(value)]
        return (BELOW_ZERO if value < 0 else ABOVE_ZERO)[self._step(value) // 2]

    def _step(self, value: float) -> int:
        """The last one for what is beyond the scale."""
        steps = len(self.symbols)
        return max(0, min(steps - 1, int(abs(value) / self.top * steps)))


def heat(modules: Sequence[ModuleRow], by: Measure | None, console: Console) -> RenderableType:
    """The map, in as many bands as the console's width asks for, what its cells mean, and a line a
    family. `by` is the cosine if none is given, or `retained` where the modules have no cosine."""
    shown = by or _measure(modules)

    def value(row: ModuleRow) -> float | None:
        found: float | None = getattr(row, shown)
        return found

    scale = _scale([value(row) for row in modules], shown, console)
    placed = heat_map(modules)
    longest = max(cell_len(printable(family)) for family in placed.families)
    label = max(len("layer"), min(longest, console.width // 3))
    return Group(
        *(
            _band(placed, layers, modules, value, scale, label)
            for layers in _bands(placed.layers, (console.width - label - 1) // scale.width)
        ),
        Text(),
        _legend(placed, [value(row) for row in modules], shown, scale),
        Text(),
        _families(placed, modules, value, shown),
    )


def _measure(modules: Sequence[ModuleRow]) -> Measure:
    return "retained" if all(row.cosine is None for row in modules) else "cosine"


def _scale(values: Sequence[float | None], by: Measure, console: Console) -> Scale:
    largest = max((abs(value) for value in values if value), default=0.0)
    coloured = console.color_system is not None and not console.no_color
    return Scale(round_above(largest), signed=by == "signed", coloured=coloured)


def _bands(layers: Sequence[int | None], room: int) -> Iterator[Sequence[int | None]]:
    """Each a multiple of five layers wide, so that the numbers above stand under each other."""
    size = max(_TICK, room // _TICK * _TICK)
    return (layers[at : at + size] for at in range(0, len(layers), size))


def _band(
    placed: HeatMap,
    layers: Sequence[int | None],
    modules: Sequence[ModuleRow],
    value: Value,
    scale: Scale,
    label: int,
) -> Table:
    band = Table.grid(padding=(0, 1, 0, 0))
    band.add_column(width=label, overflow="fold")
    band.add_column(no_wrap=True)
    band.add_row("layer", _ticks(layers, scale.width), style="dim")
    for family in placed.families:
        cells = Text()
        for layer in layers:
            at = placed.index.get((family, layer))
            cells.append(*_cell(None if at is None else modules[at], value, scale))
        band.add_row(Text(printable(family)), cells)
    return band


def _ticks(layers: Sequence[int | None], width: int) -> str:
    """The number of every fifth layer above its cell, or of each where all have one digit."""
    every = _TICK if any(layer is not None and layer > 9 for layer in layers) else 1
    line = ""
    for at, layer in enumerate(layers):
        if at % every == 0 or layer is None:
            line = f"{line:<{at * width}}{_NONE if layer is None else layer}"
    return line


def _cell(row: ModuleRow | None, value: Value, scale: Scale) -> tuple[str, str]:
    """Text and style."""
    if row is None:
        return _ABSENT.ljust(scale.width), "dim"
    found = value(row)
    text, style = (_NONE, "") if found is None else (scale.text(found), scale.style(found))
    mark = _PROJECTED if row.projected else " "
    return text.ljust(scale.width - 1) + mark, f"bold {style}" if row.projected else style


def _legend(
    placed: HeatMap, values: Sequence[float | None], by: Measure, scale: Scale
) -> RenderableType:
    line = Text()
    for value in scale.values:
        line.append(scale.text(value).ljust(scale.width), scale.style(value))
    low = -scale.top if scale.signed else 0
    step = scale.top / len(scale.symbols)
    line.append(f" {by} from {low:g} to {scale.top:g} in steps of {step:g}")
    marks = [f"{_PROJECTED} projected"]
    if None in values:
        marks.append(f"{_NONE} has none: a zero update, or judged without V")
    if len(placed.index) < len(placed.families) * len(placed.layers):
        marks.append(f"{_ABSENT} not in the adapter")
    if None in placed.layers:
        marks.append("last column: in no layer")
    return Group(line, Text("   ".join(marks)))


def _families(
    placed: HeatMap, modules: Sequence[ModuleRow], value: Value, by: Measure
) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("family", overflow="fold")
    for name in ("modules", "projected", f"lowest {by}", "median", "highest"):
        table.add_column(name, justify="right", no_wrap=True)
    for family in placed.families:
        rows = [modules[at] for (name, _), at in placed.index.items() if name == family]
        values = sorted(found for row in rows if (found := value(row)) is not None)
        spread = (values[0], median(values), values[-1]) if values else (None,) * 3
        table.add_row(
            Text(printable(family)),
            str(len(rows)),
            str(sum(row.projected for row in rows)),
            *(_NONE if each is None else f"{each:.4f}" for each in spread),
        )
    return table
