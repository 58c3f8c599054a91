"""The catalogue of error codes and the sources: neither knows a code that the other does not."""

from pathlib import Path

import pytest

from app.problems import HTTP_CODES, OTHER_HTTP_CODE
from core.codes import CODES, SECTIONS
from core.render.errors_page import errors_page
from tests.core.raised_codes import Raised, raised_codes

PAGE = Path(__file__).parent.parent.parent / "docs" / "errors.md"


@pytest.fixture(scope="module")
def raised() -> list[Raised]:
    """Those of the sources, and those that stand for errors of the framework."""
    framework = [Raised(code, status, "app/problems.py") for status, code in HTTP_CODES.items()]
    return [*raised_codes(), *framework, Raised(OTHER_HTTP_CODE, None, "app/problems.py")]


def test_every_code_is_in_the_catalogue(raised: list[Raised]) -> None:
    """What a caller can meet is explained."""
    assert {f"{found.place} {found.code}" for found in raised if found.code not in CODES} == set()


def test_the_catalogue_has_no_code_that_nothing_raises(raised: list[Raised]) -> None:
    """What is explained can be met."""
    assert set(CODES) - {found.code for found in raised} == set()


def test_statuses_are_those_of_the_sources(raised: list[Raised]) -> None:
    """A code that the API answers with comes with a status that the catalogue names."""
    wrong = {
        (found.code, found.status, found.place)
        for found in raised
        if found.place.startswith(("app/api", "app/intake", "app/steering", "app/views"))
        and found.status is not None
        and found.status not in CODES[found.code].statuses
    }
    assert wrong == set()


def test_no_code_is_in_two_sections() -> None:
    """Else the second would hide the first."""
    assert sum(len(codes) for codes in SECTIONS.values()) == len(CODES)


def test_the_sources_are_read_as_they_are(raised: list[Raised]) -> None:
    """The reader sees each way in which a code is given: as an argument, by position, as the
    class's own, and by its class alone."""
    assert {"job_ended", "archive_link", "settings_invalid", "request_timeout"} <= {
        found.code for found in raised
    }


def test_docs_are_the_catalogue() -> None:
    """docs/errors.md is what `make docs` writes."""
    assert PAGE.read_text() == errors_page()
