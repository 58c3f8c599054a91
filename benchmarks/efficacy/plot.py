"""Lines on a unit square as SVG: attack success against what is left of the task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

SIZE, LEFT, TOP, LEGEND = 320, 56, 34, 190
COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#555555", "#16a085", "#a04000")
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)

Point = tuple[float, float]


@dataclass(frozen=True)
class Axes:
    title: str
    x: str
    y: str


def square(axes: Axes, lines: Mapping[str, Sequence[Point]]) -> str:
    """An SVG with a line and its points for each name; both axes run from 0 to 1."""
    width, height = LEFT + SIZE + LEGEND, TOP + SIZE + 48
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(LEFT, 20, axes.title, 'font-weight="bold"'),
        *_grid(axes),
    ]
    for index, (name, points) in enumerate(lines.items()):
        parts += _line(points, COLOURS[index % len(COLOURS)])
        parts += _entry(index, name, COLOURS[index % len(COLOURS)])
    return "\n".join([*parts, "</svg>\n"])


def _grid(axes: Axes) -> list[str]:
    parts = [
        f'<rect x="{LEFT}" y="{TOP}" width="{SIZE}" height="{SIZE}" fill="none" stroke="#999"/>'
    ]
    for tick in TICKS:
        x, y = _place((tick, tick))
        parts += [
            f'<path d="M{x:.1f} {TOP}v{SIZE}M{LEFT} {y:.1f}h{SIZE}" stroke="#e5e5e5"/>',
            _text(x, TOP + SIZE + 16, f"{tick:g}", 'text-anchor="middle"'),
            _text(LEFT - 6, y + 4, f"{tick:g}", 'text-anchor="end"'),
        ]
    middle = TOP + SIZE / 2
    return [
        *parts,
        _text(LEFT + SIZE / 2, TOP + SIZE + 36, axes.x, 'text-anchor="middle"'),
        _text(14, middle, axes.y, f'text-anchor="middle" transform="rotate(-90 14 {middle})"'),
    ]


def _line(points: Sequence[Point], colour: str) -> list[str]:
    placed = [_place(point) for point in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
    return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots]


def _entry(index: int, name: str, colour: str) -> list[str]:
    x, y = LEFT + SIZE + 14, TOP + 10 + 18 * index
    return [
        f'<path d="M{x} {y}h18" stroke="{colour}" stroke-width="3"/>',
        _text(x + 24, y + 4, name, ""),
    ]


def _place(point: Point) -> Point:
    return LEFT + SIZE * point[0], TOP + SIZE * (1.0 - point[1])


def _text(x: float, y: float, text: str, attributes: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(text)}</text>'
