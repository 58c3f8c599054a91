"""report.html: one file that shows all of it, to anyone, and holds nothing of anyone else's."""

import re
from itertools import pairwise
from typing import Any

import pytest

from core.findings import finding
from core.policy import Policy
from core.render.finding_groups import FEW, MOST
from core.render.html import REPORT_CSS, REPORT_JS, render_html, report_body
from core.render.terminal import summary_line
from core.report import Report
from tests.core.render.made_up import of_layers, rejected, report, row
from tests.core.render.parsed import Page

WITHOUT_V = {"method": "zero", "selection": {"mode": "all"}, "scores": "spectrum"}
NONE = {"selection": {"mode": "none"}}
RELATIVE = {"selection": {"mode": "relative", "ratio": 2.0}, "reference": True}
REPORTS = {
    "4 layers": of_layers(4),
    "32 layers": of_layers(32),
    "126 layers": of_layers(126),
    "unchanged": of_layers(2, Policy(strength=0.0), "unchanged"),
    "scored": of_layers(2, Policy.model_validate(NONE), "scored"),
    "without V": of_layers(2, Policy.model_validate(WITHOUT_V)),
    "relative": of_layers(2, Policy.model_validate(RELATIVE)),
    "rejected": rejected(),
    "a sign": report([row()], findings=[finding("family_outlier", "module", "q", "24 times")]),
    "nothing but zeros": report([row(cosine=None, signed=None, undo=None, update_ratio=0.0)]),
}
SECTIONS = ("heat", "distribution", "changes", "modules")
HOSTILE = "\"'><script>alert(1)</script><style>*{}</style><img src=x onerror=alert(1)>"


@pytest.fixture(params=REPORTS.values(), ids=list(REPORTS))
def made(request: pytest.FixtureRequest) -> Report:
    found: Report = request.param
    return found


def test_the_page_is_one_well_formed_file(made: Report) -> None:
    """Every element is closed, every id is one, every link within it leads somewhere; there is
    nothing to fetch, and no style or handler in an attribute."""
    page = Page(render_html(made).decode())
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    named = [e.attributes.get("aria-labelledby", "") for e in page.elements]
    led = [e.attributes.get("href", "").removeprefix("#") for e in page.elements]
    assert {name for name in (*named, *led) if name} <= set(ids)
    attributes = {name for e in page.elements for name in e.attributes}
    assert not attributes & {"src", "srcset", "style", "action", "data"}
    assert not any(name.startswith("on") for name in attributes)


def test_the_verdict_stands_first(made: Report) -> None:
    """With the very line that a terminal prints."""
    page = Page(render_html(made).decode())
    [verdict] = page.within("verdict", "h2")
    assert verdict.text == made.verdict
    assert summary_line(made) in [e.text for e in page.within("verdict", "code")]


def test_headings_go_down_step_by_step(made: Report) -> None:
    """One h1, and no level left out; one main landmark."""
    page = Page(render_html(made).decode())
    levels = [int(e.tag[1]) for e in page.elements if re.fullmatch("h[1-6]", e.tag)]
    assert levels[0] == 1
    assert levels.count(1) == len(page.all("main")) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_tables_are_read_out_with_their_headings(made: Report) -> None:
    """A caption each, a scope for every heading, and what scrolls can be reached by key."""
    page = Page(render_html(made).decode())
    tables = page.all("table")
    assert len(page.all("caption")) == len(tables) == (3 if made.modules else 0)
    assert all(e.attributes["scope"] for e in page.all("th"))
    assert all(table.is_in("div", "scroll") for table in tables)
    for scrolled in page.all("div", "scroll"):
        assert scrolled.attributes["tabindex"] == "0"
        assert scrolled.attributes["role"] == "region"
        assert scrolled.attributes["aria-labelledby"]


def test_every_module_is_a_cell_and_a_row(made: Report) -> None:
    """By its place in the report, and marked with what became of it, so that a page may mark it
    anew."""
    page = Page(render_html(made).decode())
    for tag in ("td", "tr"):
        shown = {int(e.attributes["data-i"]): e for e in page.all(tag) if "data-i" in e.attributes}
        assert sorted(shown) == list(range(len(made.modules)))
        for at, module in enumerate(made.modules):
            marks = {"projected": module.projected, "borderline": module.borderline}
            assert shown[at].classes == {mark for mark, is_so in marks.items() if is_so}
    outcomes = page.all("td", "outcome")
    assert len(outcomes) == len(made.modules)
    for module, outcome in zip(made.modules, outcomes, strict=True):
        assert outcome.text.startswith("projected" if module.projected else "kept")


def test_cells_have_a_number_for_each_measure_that_can_be_chosen(made: Report) -> None:
    """In the order of the choices, of which the first is taken."""
    page = Page(render_html(made).decode())
    choices = page.all("input")
    assert [("checked" in choice.attributes) for choice in choices] == [
        n == 0 for n in range(len(choices))
    ]
    cells = [e for e in page.all("td") if "data-i" in e.attributes]
    numbers = [e for e in page.within("heat", "span") if e.is_in("td")]
    assert len(numbers) == len(cells) * len(choices)
    fields = [choice.attributes["value"] for choice in choices]
    wanted = [
        getattr(made.modules[int(cell.attributes["data-i"])], field)
        for cell in cells
        for field in fields
    ]
    for number, value in zip(numbers, wanted, strict=True):
        assert ("nil" in number.classes) == (value is None)
        assert value is None or abs(float(number.text) - value) < 0.006


def test_a_rejection_shows_findings_alone() -> None:
    """No map of modules that were never scored; the file has no script either."""
    page = Page(render_html(rejected()).decode())
    ids = {e.attributes.get("id") for e in page.elements}
    assert "report-findings" in ids
    assert not {f"report-{section}" for section in SECTIONS} & ids
    assert page.all("script") == page.all("svg") == []


def test_findings_of_a_code_are_said_once() -> None:
    """What is alike is counted, shown in part, and past a bound left to the JSON; what stops the
    adapter comes first."""
    many = [finding("unknown_tensor", "tensor", f"x{n}") for n in range(MOST + 7)]
    notes = [finding("refactored", "module", "q_proj")]
    page = Page(render_html(report(verdict="rejected", findings=[*notes, *many])).decode())
    groups = page.all("article")
    assert ["refused" in group.classes for group in groups] == [True, False]
    items = [e for e in page.all("li") if groups[0] in e.inside]
    assert len(items) == MOST
    assert sum(e.is_in("details") for e in items) == MOST - FEW
    assert "7 more are in report.json" in groups[0].text
    assert groups[0].text.count(many[0].action) == 1


@pytest.mark.parametrize("place", ["module", "subject", "detail", "file", "base", "alignment"])
def test_what_an_upload_says_is_text(place: str) -> None:
    """Wherever it stands: no element, no attribute and no class is made of it."""
    made = hostile(place, HOSTILE)
    page, honest = (Page(render_html(r).decode()) for r in (made, hostile(place, "x")))
    assert [(e.tag, e.classes, list(e.attributes)) for e in page.elements] == [
        (e.tag, e.classes, list(e.attributes)) for e in honest.elements
    ]
    assert any(HOSTILE in e.text for e in page.elements)


def test_what_an_upload_says_turns_no_text_round() -> None:
    """A module's name holds no control that an eye would fall for."""
    assert "\u202e" not in render_html(hostile("module", "q\u202eevil")).decode()


def hostile(place: str, text: str) -> Report:
    """A report in which this text stands in one place."""
    given: dict[str, Any] = {place: text}
    found = finding("dora", "field", given.get("subject", "r"), given.get("detail", ""))
    made = report([row(given.get("module", "layers.0.q"))], findings=[found]).model_dump()
    made["input"]["files"][0]["name"] = given.get("file", "a")
    made["input"]["base_model_name_or_path"] = given.get("base", "b")
    made["alignment"]["name"] = given.get("alignment", "c")
    return Report.model_validate(made)


def test_same_report_same_bytes(made: Report) -> None:
    """Whenever it is made, and from whichever copy."""
    again = Report.model_validate_json(made.as_bytes())
    assert render_html(again) == render_html(made)


def test_a_large_model_fits_a_mail() -> None:
    """126 layers with seven kinds of modules: well under a megabyte."""
    assert len(render_html(of_layers(126))) < 600_000


def test_the_body_goes_into_any_page(made: Report) -> None:
    """It holds neither style nor script, and stands in one element of its own."""
    page = Page(str(report_body(made)))
    assert page.all("style") == page.all("script") == page.all("h1") == []
    outermost = [e for e in page.elements if not e.inside]
    assert [e.classes for e in outermost] == [{"report"}]


def test_the_style_touches_nothing_outside_the_report() -> None:
    """Every selector begins with `.report`, and nothing is fetched."""
    css = re.sub(r"/\*.*?\*/", "", REPORT_CSS, flags=re.DOTALL)
    heads = re.findall(r"([^{};]+)\{", re.sub(r"@[^{]+\{", "", css))
    selectors = [part.strip() for head in heads for part in re.split(r",(?![^(]*\))", head)]
    assert len(selectors) > 50
    assert {s for s in selectors if not s.startswith(".report")} == set()
    assert "url(" not in css
    assert "@import" not in css


def test_the_script_is_short_and_ends_no_element() -> None:
    """It is embedded as it stands."""
    assert len(REPORT_JS.splitlines()) <= 40
    assert "</" not in REPORT_JS
    assert REPORT_JS in render_html(of_layers(1)).decode()
