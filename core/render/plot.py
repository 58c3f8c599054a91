"""Lines on a unit square, as an SVG with nothing to fetch and nothing to run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, which readers without red or green tell apart."""

_SIZE, _LEFT, _TOP, _BOTTOM = 400, 72, 44, 56
_LEGEND, _ROW = 230, 22
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_MOST_DOTS = 40
_INK, _GREY, _GRID = "#222222", "#666666", "#e4e4e4"

Point = tuple[float, float]


@dataclass(frozen=True)
class Axes:
    title: str
    x: str
    y: str


@dataclass(frozen=True)
class Line:
    """Points of the unit square, joined in their order; what lies outside is drawn at its edge.

    With a few points each has a dot. `dashes` as SVG's stroke-dasharray.
    """

    name: str
    points: Sequence[Point]
    colour: str
    dashes: str = ""


@dataclass(frozen=True)
class Mark:
    """One point that is pointed out, with a few short lines of words."""

    point: Point
    words: Sequence[str]
    colour: str = _INK


def square(axes: Axes, lines: Sequence[Line], marks: Sequence[Mark] = ()) -> str:
    """The whole picture; both axes run from 0 to 100 %."""
    width, height = _LEFT + _SIZE + _LEGEND, _TOP + _SIZE + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13" fill="{_INK}">',
        f"<title>{escape(axes.title)}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(_LEFT, 26, axes.title, 'font-weight="bold" font-size="15"'),
        *_grid(axes),
    ]
    for index, line in enumerate(lines):
        parts += [*_drawn(line), *_entry(index, line)]
    row = len(lines) + 0.5
    for mark in marks:
        parts += _marked(mark, row)
        row += len(mark.words)
    return "\n".join([*parts, "</svg>\n"])


def _grid(axes: Axes) -> list[str]:
    parts = []
    for tick in _TICKS:
        x, y = _place((tick, tick))
        parts += [
            f'<path d="M{x:.1f} {_TOP}v{_SIZE}M{_LEFT} {y:.1f}h{_SIZE}" stroke="{_GRID}"/>',
            _text(x, _TOP + _SIZE + 20, f"{tick:.0%}", 'text-anchor="middle"'),
            _text(_LEFT - 8, y + 4, f"{tick:.0%}", 'text-anchor="end"'),
        ]
    middle = _TOP + _SIZE / 2
    return [
        *parts,
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_SIZE}" height="{_SIZE}" fill="none"'
        f' stroke="{_GREY}"/>',
        _text(_LEFT + _SIZE / 2, _TOP + _SIZE + 44, axes.x, 'text-anchor="middle"'),
        _text(18, middle, axes.y, f'text-anchor="middle" transform="rotate(-90 18 {middle})"'),
    ]


def _drawn(line: Line) -> list[str]:
    placed = [_place(point) for point in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    stroke = f'stroke="{line.colour}" stroke-width="2"{_dashed(line)}'
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{line.colour}"/>' for x, y in placed]
    shown = dots if len(dots) <= _MOST_DOTS and not line.dashes else []
    return [f'<polyline points="{path}" fill="none" stroke-linejoin="round" {stroke}/>', *shown]


def _entry(index: int, line: Line) -> list[str]:
    x, y = _LEFT + _SIZE + 18, _TOP + 12 + _ROW * index
    return [
        f'<path d="M{x} {y}h26" stroke="{line.colour}" stroke-width="2.5"{_dashed(line)}/>',
        _text(x + 34, y + 4, line.name, ""),
    ]


def _marked(mark: Mark, row: float) -> list[str]:
    """A ring on the square, and one in the legend with the words: there they hide no line."""
    ring = f'fill="white" stroke="{mark.colour}" stroke-width="2.5"'
    x, y = _place(mark.point)
    left, top = _LEFT + _SIZE + 18, _TOP + 12 + _ROW * row
    return [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" {ring}/>',
        f'<circle cx="{left + 13}" cy="{top:.1f}" r="6" {ring}/>',
        *(_text(left + 34, top + 4 + 18 * i, line, "") for i, line in enumerate(mark.words)),
    ]


def _dashed(line: Line) -> str:
    return f' stroke-dasharray="{line.dashes}"' if line.dashes else ""


def _place(point: Point) -> Point:
    x, y = (min(max(value, 0.0), 1.0) for value in point)
    return _LEFT + _SIZE * x, _TOP + _SIZE * (1.0 - y)


def _text(x: float, y: float, text: str, attributes: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(text)}</text>'
