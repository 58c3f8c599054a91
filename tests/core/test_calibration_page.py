"""A calibration for people: its words, its table and its picture."""

import re
import xml.etree.ElementTree as ElementTree
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from core.calibration.record import Calibration
from core.render.calibration import (
    MOST_ROWS,
    calibration_lines,
    calibration_svg,
    print_calibration,
    verdict_line,
)
from core.render.plot import Axes, Line, Mark, square
from tests.core.calibrating import Module, by_threshold

APART: list[Module] = [(0.1, 0.1, 0.1), (0.6, 0.6, 0.1)]
KEPT: list[Module] = [(0.5, 0.5, 0.1), (0.7, 0.7, 0.1)]
RUINED: list[Module] = [(0.05, 0.0, 1.0)]

SVG = "{http://www.w3.org/2000/svg}"
POINT = st.tuples(st.floats(-2, 2), st.floats(-2, 2))


def printed(calibration: Calibration) -> str:
    console = Console(file=StringIO(), width=160, highlight=False)
    print_calibration(calibration, console)
    output = console.file
    assert isinstance(output, StringIO)
    return output.getvalue()


CASES: list[tuple[Calibration, str]] = [
    (by_threshold([APART] * 2, [KEPT] * 2), "recommended: it takes more from hostile"),
    (by_threshold([KEPT] * 2, [KEPT] * 2, keep=0.5), "the cosine does not tell them apart here"),
    (by_threshold([APART], [KEPT]), "with one adapter of a kind"),
    (by_threshold([APART], [RUINED]), "keeps 95.0% of its update's norm"),
]


@pytest.mark.parametrize(("calibration", "words"), CASES)
def test_last_line_says_what_to_think_of_it(calibration: Calibration, words: str) -> None:
    """In one sentence, and "recommended" only where it is; nothing is ever called safe."""
    line = verdict_line(calibration)
    assert printed(calibration).rstrip().endswith(line)
    assert words in line
    assert line.startswith("recommended") == calibration.recommended
    assert re.search(r"\bsafe\b", printed(calibration)) is None


def test_few_adapters_are_said_so() -> None:
    """With their numbers; no longer with five of each kind."""
    few = calibration_lines(by_threshold([APART] * 5, [KEPT] * 4))
    assert any("5 hostile and 4 benign" in line for line in few)
    enough = calibration_lines(by_threshold([APART] * 5, [KEPT] * 5))
    assert not any(line.startswith("few") for line in enough)


def test_long_curves_are_shown_in_part() -> None:
    """A screenful of settings, with the one proposed among them."""
    many: list[Module] = [(0.1 + i / 500, 0.5, 0.1) for i in range(200)]
    found = by_threshold([[(0.11, 0.0, 0.3), *many]] * 2, [many] * 2)
    shown = printed(found).splitlines()
    assert len(found.candidates) > 10 * MOST_ROWS
    assert len(shown) < 3 * MOST_ROWS
    assert sum(line.rstrip().endswith("proposed") for line in shown) == 1


@pytest.mark.parametrize("calibration", [case for case, _ in CASES])
def test_picture_has_curve_scaling_and_proposal(calibration: Calibration) -> None:
    """An SVG that any reader takes, the same bytes every time; a ring where one is proposed."""
    svg = calibration_svg(calibration)
    assert svg == calibration_svg(calibration)
    root = ElementTree.fromstring(svg)
    assert len(root.findall(f"{SVG}polyline")) == 3
    words = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert "scaling every update" in words
    proposed = any(text.startswith("proposed: threshold") for text in words)
    assert proposed == (calibration.proposal is not None)


@given(st.lists(POINT, min_size=1, max_size=60), st.text(max_size=5))
def test_plot_stays_on_its_square(points: list[tuple[float, float]], name: str) -> None:
    """Whatever the numbers and the names are."""
    if not all(character.isprintable() for character in name):
        name = "name"
    axes = Axes(f"<{name}>", "x & y", name)
    picture = square(axes, [Line(name, points, "#000")], [Mark(points[0], [name, "&"])])
    root = ElementTree.fromstring(picture)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    [line] = root.findall(f"{SVG}polyline")
    for pair in line.attrib["points"].split():
        x, y = map(float, pair.split(","))
        assert 0 < x < width
        assert 0 < y < height
