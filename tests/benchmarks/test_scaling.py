"""docs/scaling.md says what was measured."""

from pathlib import Path

from benchmarks.scaling.page import made

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_was_measured() -> None:
    """Its figures are those of the run that is kept: `python -m benchmarks.scaling.page`."""
    assert (DOCS / "scaling.md").read_text() == made(DOCS / "performance" / "scaling.json")
