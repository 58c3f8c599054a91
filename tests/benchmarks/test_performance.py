"""docs/performance.md says what the benchmarks kept, all of it, and nothing else."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures.bars import Bars, Group, picture, scale_of
from benchmarks.figures.result import Ratio, Result, Table
from benchmarks.performance.page import PAGE, PICTURES, made
from benchmarks.performance.sections import SECTIONS

DOCS = Path(__file__).parents[2] / "docs"
SVG = "{http://www.w3.org/2000/svg}"

KERNEL = Table(
    "Two products",
    ("out × in", "r", "ours, ms", "dense, ms", "error"),
    [["4096 × 4096", 8, 3.0, 900.0, 1e-7], ["1024 × 4096", 16, 1.0, None, 2e-7]],
    notes=("A note.",),
    drawn=("ours, ms", "dense, ms"),
)
MACHINE = {"processor": "one", "cores": "2"}


def kept(docs: Path, *ratios: Ratio) -> Path:
    """A folder of docs with one benchmark's result."""
    result = Result("kernel", [KERNEL], ratios, date="2026-01-02", machine=MACHINE)
    result.save(docs / PICTURES / "kernel.json")
    return docs


def test_the_page_is_what_was_measured() -> None:
    """Nobody typed in it: `python -m benchmarks.performance` makes the same page and pictures."""
    for name, text in made(DOCS).items():
        assert (DOCS / name).read_text() == text, f"{name}: run `python -m benchmarks.performance`"
    there = {f"{PICTURES}/{path.name}" for path in (DOCS / PICTURES).glob("*.svg")}
    assert there == made(DOCS).keys() - {PAGE}


def test_every_section_is_there_and_says_what_is_missing(tmp_path: Path) -> None:
    """A benchmark that nobody ran is not passed over."""
    page = made(kept(tmp_path))[PAGE]
    for section in SECTIONS:
        assert f"## {section.title}\n" in page
    assert page.count("Not measured yet.") == len(SECTIONS) - 1
    assert "What each change brought" not in page


def test_a_result_is_shown_whole(tmp_path: Path) -> None:
    """Table, note, date, machine, a picture that is there, and figures that do not hold."""
    ratios = (Ratio("fast", 2.0, "at_most", 1.0), Ratio("good", 3.0, "at_least", 1.0))
    files = made(kept(tmp_path, *ratios))
    page = files[PAGE]
    for words in ("| 4096 × 4096 |  8 |", "A note.", "2026-01-02", "| cores     | 2         |"):
        assert words in page
    assert "Of 2 figures that were promised, 1 hold" in page
    assert "**does not hold**" in page
    assert files.keys() == {PAGE, "performance/promised.svg", "performance/kernel-two-products.svg"}
    for name in files.keys() - {PAGE}:
        assert f"]({name})" in page


def test_what_changes_brought_is_taken_in_as_written(tmp_path: Path) -> None:
    """The one part that is written by hand has a file of its own."""
    (kept(tmp_path) / PICTURES / "changes.md").write_text("Much.\n")
    page = made(tmp_path)[PAGE]
    assert "## What each change brought" in page
    assert "Much." in page


def test_rows_are_named_by_what_they_are(tmp_path: Path) -> None:
    """Each bar is told by the words and whole numbers before it, in the picture and in words."""
    text = made(kept(tmp_path))["performance/kernel-two-products.svg"]
    described = ElementTree.fromstring(text).find(f"{SVG}desc")
    assert described is not None
    assert described.text == (
        "4096 × 4096, r 8: ours 3, dense 900; 1024 × 4096, r 16: ours 1, dense -"
    )


values = st.floats(1e-6, 1e9)


@given(st.lists(st.tuples(values, values), min_size=1, max_size=6))
def test_every_value_has_its_bar(rows: list[tuple[float, float]]) -> None:
    """Of whatever size: well formed, one bar each, within the picture."""
    groups = [Group(f"row {number}", row) for number, row in enumerate(rows)]
    root = ElementTree.fromstring(picture(Bars("<&>", "ms", ["a", "b"], groups)))
    bars = [rect for rect in root.iter(f"{SVG}rect") if rect.get("height") == "11"]
    assert len(bars) == 2 * len(rows)
    for bar in bars:
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) <= float(root.attrib["width"])


@given(st.lists(values, min_size=1), values)
def test_longer_bars_are_larger_values(drawn: list[float], other: float) -> None:
    """On either scale, and none is cut off."""
    scale = scale_of([*drawn, other], 100.0, 400.0)
    for value in drawn:
        assert 100.0 <= scale(value) <= 500.0
        assert (scale(value) <= scale(other)) or value > other
    assert scale.logarithmic == (max(*drawn, other) / min(*drawn, other) > 10**1.5)


@pytest.mark.parametrize("drawn", [[None], [-1.0], [1.0] * 7])
def test_what_would_be_drawn_wrong_is_an_error(drawn: list[float | None]) -> None:
    """An empty picture, a bar the wrong way, more series than there are colours."""
    with pytest.raises(ValueError, match="'t'"):
        picture(Bars("t", "ms", ["a"] * len(drawn), [Group("x", drawn)]))
