"""The heat map as it is drawn: one cell a module, with a colour and a number for each measure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from core.findings import printable
from core.render.heat import HeatMap
from core.render.scales import Scale, scales
from core.report import ModuleRow

Room = Literal["ample", "tight", "no"]

_AMPLE: Final = 12  # layers whose numbers have room for all their digits
_TIGHT: Final = 40  # layers whose numbers have room at all
_TICK: Final = 10
_ABSENT: Final = ("nil", "–")


@dataclass(frozen=True)
class Cell:
    """A module, `at` its place in the report. `classes` is what became of it; `shades` has a class
    and a number for each scale."""

    at: int
    title: str
    classes: str
    shades: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Column:
    """A layer. `tick`: it is named where there is no room to name all."""

    name: str
    tick: bool


@dataclass(frozen=True)
class HeatPicture:
    """Rows are families, each with a cell, or None, for every column. `room` is what a cell has for
    its number."""

    room: Room
    scales: Sequence[Scale]
    columns: Sequence[Column]
    rows: Sequence[tuple[str, Sequence[Cell | None]]]


def heat_picture(modules: Sequence[ModuleRow], heat: HeatMap) -> HeatPicture:
    room, found = _room(len(heat.layers)), scales(modules)
    return HeatPicture(
        room,
        found,
        [_column(layer) for layer in heat.layers],
        [
            (
                printable(family),
                [
                    None if at is None else _cell(at, modules[at], found, room)
                    for layer in heat.layers
                    for at in [heat.index.get((family, layer))]
                ],
            )
            for family in heat.families
        ],
    )


def _room(layers: int) -> Room:
    if layers <= _AMPLE:
        return "ample"
    return "tight" if layers <= _TIGHT else "no"


def _column(layer: int | None) -> Column:
    return Column("none", True) if layer is None else Column(str(layer), layer % _TICK == 0)


def _cell(at: int, row: ModuleRow, found: Sequence[Scale], room: Room) -> Cell:
    numbers = [(scale, scale.measure.of(row)) for scale in found]
    named = [f"{scale.measure.name} {_digits(number)}" for scale, number in numbers]
    marks = (("projected", row.projected), ("borderline", row.borderline))
    return Cell(
        at,
        f"{printable(row.name)}: {', '.join(named)}",
        " ".join(mark for mark, is_so in marks if is_so),
        [
            _ABSENT if number is None else (scale.shade(number), _digits(number, room))
            for scale, number in numbers
        ],
    )


def _digits(number: float | None, room: Room = "ample") -> str:
    if number is None:
        return "none"
    few = 3 if abs(number) < 0.1 else 2
    return f"{number:z.{few if room == 'tight' else 4}f}"
