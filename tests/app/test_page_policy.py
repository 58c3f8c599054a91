"""The Content-Security-Policy of reports that are served."""

import base64
import hashlib
import re

import pytest

from app.page_policy import page_policy
from core.findings import finding
from core.render.html import REPORT_JS, render_html
from core.report import Report
from tests.core.render.made_up import of_layers, rejected, report

HOSTILE = "<script>alert(1)</script><style>body{}</style>"
OLD = b"<!doctype html><style>body{color:red}</style><p>an older engine's"
"""A page as engines before 0.2.0 left it."""


def directives(page: bytes) -> dict[str, list[str]]:
    return {
        name: values
        for directive in page_policy(page).split("; ")
        for name, *values in [directive.split(" ")]
    }


def hashed(block: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}'"


@pytest.mark.parametrize("made", [of_layers(2), rejected()])
def test_the_report_runs_its_own_script_alone(made: Report) -> None:
    """By its digest; a report without a table has none, and may run nothing."""
    page = render_html(made)
    found = directives(page)
    script = f"\n{REPORT_JS}"
    assert found.get("script-src") == ([hashed(script)] if made.modules else None)
    assert len(found["style-src"]) == 1
    assert found["default-src"] == found["base-uri"] == found["form-action"] == ["'none'"]
    assert not re.search(rb"<[^>]+ (style|on[a-z]+)=", page)
    assert "unsafe" not in page_policy(page)


def test_what_an_upload_says_becomes_no_block() -> None:
    """A name that is a script has no digest in the policy."""
    honest = report(verdict="rejected", findings=[finding("dora", "field", "use_dora")])
    hostile = report(verdict="rejected", findings=[finding("dora", "field", HOSTILE, HOSTILE)])
    assert page_policy(render_html(hostile)) == page_policy(render_html(honest))


def test_a_page_of_before_keeps_its_style() -> None:
    """The digests are those of the bytes that are served, whichever engine wrote them."""
    assert directives(OLD)["style-src"] == [hashed("body{color:red}")]
