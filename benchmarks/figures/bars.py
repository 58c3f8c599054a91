"""Horizontal bars in groups, as an SVG with nothing to fetch and nothing to run."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from xml.sax.saxutils import escape

from benchmarks.figures.result import shown
from core.render.plot import COLOURS

_INK, _GREY, _GRID = "#222222", "#666666", "#e4e4e4"
_WIDTH, _MARGIN, _VALUE = 800, 18, 56  # of the picture; what is free around it, and behind a bar
_THICK, _BETWEEN, _ROW, _LETTER = 13, 12, 17, 7.2  # a bar, two groups, a line of text, a letter
_LABEL_LETTERS = 40
_TOP, _BOTTOM = 44, 46
_DECADES = 1.5  # of values, from which a straight scale hides the small ones
_ROUND = (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10)  # ends of a straight scale: round in four parts


@dataclass(frozen=True)
class Group:
    """Bars under one name: a value for each series, None for one that there is not."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Bars:
    """`line`: a value that is marked and that bars begin at, and what it stands for."""

    title: str
    unit: str
    series: Sequence[str]
    groups: Sequence[Group]
    line: tuple[float, str] | None = None

    @property
    def values(self) -> list[float]:
        """All that are to be seen."""
        drawn = [value for group in self.groups for value in group.values if value is not None]
        return drawn if self.line is None else [*drawn, self.line[0]]

    @property
    def description(self) -> str:
        """The same in words, for those who do not see it."""
        return "; ".join(
            f"{group.name}: "
            + ", ".join(
                f"{name} {shown(value)}"
                for name, value in zip(self.series, group.values, strict=True)
            )
            for group in self.groups
        )


@dataclass(frozen=True)
class Scale:
    """From values to pixels, `left` being that of `low`, and `width` as many to `high`."""

    low: float
    high: float
    logarithmic: bool
    left: float
    width: float

    def __call__(self, value: float) -> float:
        if self.logarithmic:
            share = math.log10(value / self.low) / math.log10(self.high / self.low)
        else:
            share = value / self.high
        return self.left + self.width * min(max(share, 0.0), 1.0)

    @property
    def ticks(self) -> list[float]:
        """Powers of ten, of which the lowest is one, or four parts."""
        if self.logarithmic:
            decades = math.floor(math.log10(self.high / self.low) + 1e-9)
            return [self.low * 10**n for n in range(decades + 1)]
        return [self.high * n / 4 for n in range(5)]


def scale_of(values: Sequence[float], left: float, width: float) -> Scale:
    """Straight from zero; logarithmic where the values, all above zero, are of other sizes."""
    least, most = min(values), max(values)
    if least > 0.0 and math.log10(most / least) > _DECADES:
        low = 10.0 ** math.floor(math.log10(least / 2))  # so that the least is to be seen
        return Scale(low, _round_up(most), True, left, width)
    return Scale(0.0, _round_up(most), False, left, width)


def picture(bars: Bars) -> str:
    """The whole of it. Raises `ValueError` for what would be drawn wrong or not at all."""
    if not bars.values or min(bars.values) < 0.0 or len(bars.series) > len(COLOURS):
        raise ValueError(f"no value, one below zero or too many series: {bars.title!r}")
    labels = [wrap(group.name, _LABEL_LETTERS) for group in bars.groups]
    left = _MARGIN + _LETTER * max(len(line) for label in labels for line in label) + 10
    scale = scale_of(bars.values, left, _WIDTH - left - _VALUE - _MARGIN)
    top = _TOP + (_ROW if len(bars.series) > 1 else 0)
    heights = [max(_THICK * len(bars.series), _ROW * len(label)) for label in labels]
    height = sum(heights) + _BETWEEN * len(heights)
    parts = [*_grid(scale, top, height), *_axis(bars, scale, top + height)]
    if bars.line is not None:
        parts += _line(bars.line, scale, top, height)
    start = left if bars.line is None else scale(bars.line[0])
    at = top + _BETWEEN / 2
    for group, label, tall in zip(bars.groups, labels, heights, strict=True):
        parts += [*_label(label, left, at, tall), *_drawn(group, scale, start, at, tall)]
        at += tall + _BETWEEN
    return "\n".join([*_head(bars, top + height + _BOTTOM), *parts, "</svg>\n"])


def _head(bars: Bars, height: float) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc"'
        f' width="{_WIDTH}" height="{height:.0f}" viewBox="0 0 {_WIDTH} {height:.0f}"'
        f' font-family="sans-serif" font-size="13" fill="{_INK}">'
    )
    yield f'<title id="title">{escape(bars.title)}</title>'
    yield f'<desc id="desc">{escape(bars.description)}</desc>'
    yield f'<rect width="{_WIDTH}" height="{height:.0f}" rx="6" fill="white"/>'
    yield _text(_MARGIN, 26, bars.title, 'font-weight="bold" font-size="15"')
    if len(bars.series) > 1:
        x = float(_MARGIN)
        for name, colour in zip(bars.series, COLOURS, strict=False):
            yield f'<rect x="{x:.1f}" y="38" width="12" height="12" fill="{colour}"/>'
            yield _text(x + 18, 49, name, "")
            x += 18 + _LETTER * len(name) + 22


def _grid(scale: Scale, top: float, height: float) -> Iterator[str]:
    for tick in scale.ticks:
        x = scale(tick)
        yield f'<path d="M{x:.1f} {top}v{height:.1f}" stroke="{_GRID}"/>'
        yield _text(x, top + height + 17, shown(tick), f'text-anchor="middle" fill="{_GREY}"')


def _axis(bars: Bars, scale: Scale, bottom: float) -> Iterator[str]:
    words = ", ".join([bars.unit] * bool(bars.unit) + ["logarithmic"] * scale.logarithmic)
    middle = scale.left + scale.width / 2
    yield _text(middle, bottom + 36, words, f'text-anchor="middle" fill="{_GREY}"')


def _label(lines: Sequence[str], left: float, at: float, tall: float) -> Iterator[str]:
    first = at + tall / 2 - _ROW * (len(lines) - 1) / 2 + 4.5
    for number, line in enumerate(lines):
        yield _text(left - 10, first + _ROW * number, line, 'text-anchor="end"')


def _drawn(group: Group, scale: Scale, start: float, at: float, tall: float) -> Iterator[str]:
    y = at + (tall - _THICK * len(group.values)) / 2
    for value, colour in zip(group.values, COLOURS, strict=False):  # more colours than values
        if value is not None:
            end = scale(value)
            length = max(abs(end - start), 1.0)
            yield (
                f'<rect x="{min(start, end):.1f}" y="{y + 1:.1f}" width="{length:.1f}"'
                f' height="{_THICK - 2}" fill="{colour}"/>'
            )
            away, anchor = (-5, "end") if end < start else (5, "start")
            number = f'text-anchor="{anchor}" font-size="11"'
            yield _text(end + away, y + _THICK - 3, shown(value), number)
        y += _THICK


def _line(line: tuple[float, str], scale: Scale, top: float, height: float) -> Iterator[str]:
    x = scale(line[0])
    yield f'<path d="M{x:.1f} {top}v{height:.1f}" stroke="{_INK}" stroke-width="1.5"/>'
    yield _text(x, top - 5, line[1], 'text-anchor="middle" font-size="11"')


def _text(x: float, y: float, text: str, attributes: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(text)}</text>'


def _round_up(value: float) -> float:
    """The least round number that is no less; 1 for none above zero."""
    if value <= 0.0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value))
    return unit * next(n for n in _ROUND if value <= n * unit * (1 + 1e-9))
