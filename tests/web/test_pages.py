"""What every page holds to: nothing inline, nothing from elsewhere, and no text that is markup."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.web.pages import HEADERS
from tests.app.conftest import OpenGate
from tests.app.gate import Gate
from tests.app.test_access import access, key
from tests.web.made_up import ended, failed, posted, rejected, report_of, row
from tests.web.structure import Element, elements, shape, words

EVIL = "<img src=x onerror=alert(1)>\"' style=x </script>{{7*7}}{% x %}\u202e&amp;"
Texts = st.text(max_size=60) | st.sampled_from([EVIL, "<script>", '" onclick="x', "'", "\u202e"])


def addresses(gate: Gate) -> Iterator[str]:
    """A page of each kind."""
    gate.register()
    one, other = ended(gate), ended(gate, policy='{"selection": {"mode": "all"}}')
    yield from ("/", "/?state=cancelled", "/?state=none", "/alignments", "/jobs/none")
    yield from (f"/jobs/{one}", f"/jobs/{rejected(gate)}", f"/jobs/{failed(gate)}")
    yield f"/jobs/{posted(gate).json()['id']}"
    yield from (f"/jobs/{one}/compare", f"/jobs/{one}/compare?with={other}")


def _check_is_ours(element: Element) -> None:
    assert element.tag not in ("style", "iframe", "object", "base")
    assert "style" not in element.attributes
    assert not any(attribute.startswith("on") for attribute in element.attributes)
    for attribute in ("src", "href", "action"):
        target = element.attributes.get(attribute, "/")
        assert target[:1] in ("/", "#", "")
        assert not target.startswith("//")
    if element.tag == "script":
        assert element.attributes["src"].startswith("/static/")
        assert not element.text.strip()


def test_every_page_lets_in_nothing_but_its_own(gate: Gate) -> None:
    """No inline script, style or handler, no resource of another host; and headers that say so,
    whatever the status."""
    for path in addresses(gate):
        page = gate.client.get(path)
        assert page.status_code < 500, path
        assert page.headers["content-type"].startswith("text/html"), path
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.headers["cache-control"] == "no-store"
        for element in elements(page.text):
            _check_is_ours(element)


@pytest.mark.parametrize(
    "path", ["/jobs/", "/jobs/none/", "/jobs/a/b/c", "/alignments/", "/alignments/x"]
)
def test_address_without_a_page_is_told_by_one(gate: Gate, path: str) -> None:
    """With the way back."""
    answer = gate.client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "All jobs" in words(answer.text)


def test_documentation_has_the_policy_as_it_is() -> None:
    """docs/page.md, for who has to put a proxy in front."""
    said = (Path(__file__).parents[2] / "docs" / "page.md").read_text()
    assert f"Content-Security-Policy: {HEADERS['Content-Security-Policy']}\n" in said


def test_no_script_runs_where_a_key_is_typed(open_gate: OpenGate) -> None:
    """The form is all there is."""
    gate = open_gate(access=access(key("slg_alice", "a", "jobs")))
    page = gate.client.get("/sign-in")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "script" not in {element.tag for element in elements(page.text)}
    [field] = [e for e in elements(page.text) if e.attributes.get("type") == "password"]
    assert field.attributes["autocomplete"] == "current-password"


def _labelled(gate: Gate, text: str) -> str:
    return f"/jobs/{ended(gate, metadata=json.dumps({'label': text, 'x': text}))}"


def _module(gate: Gate, text: str) -> str:
    return f"/jobs/{ended(gate, report_of(row(f'model.layers.0.a{text}')))}"


def _finding(gate: Gate, text: str) -> str:
    return f"/jobs/{rejected(gate, text, f'a{text}')}"


def _failure(gate: Gate, text: str) -> str:
    return f"/jobs/{failed(gate, text)}"


def _listed(gate: Gate, text: str) -> str:
    posted(gate, metadata=json.dumps({"label": text}))
    return "/?state=queued"


def _compared(gate: Gate, text: str) -> str:
    one = ended(gate, report_of(row(f"model.layers.0.{text}")))
    return f"/jobs/{one}/compare?with={one}"


def _filtered(_: Gate, text: str) -> str:
    return "/?" + urlencode({"alignment": f"a{text}"})


@pytest.mark.parametrize(
    "place", [_labelled, _module, _finding, _failure, _listed, _compared, _filtered]
)
@given(text=Texts)
@settings(
    max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_no_text_is_markup(gate: Gate, place: Callable[[Gate, str], str], text: str) -> None:
    """Whatever an upload or its sender calls a thing, the page has the elements and the attributes
    that it has for a plain name."""
    records = gate.services.records
    shapes = []
    for each in (text, "plain"):
        gate.register()
        page = gate.client.get(place(gate, each))
        assert page.status_code == 200
        shapes.append(shape(page.text))
        for job_id in list(records.job_ids("default")):
            records.remove("default", job_id)
    assert shapes[0] == shapes[1]


def test_a_name_cannot_turn_the_page_round(gate: Gate) -> None:
    """Marks of direction are written out."""
    gate.register()
    job_id = ended(gate, metadata=json.dumps({"label": EVIL}))
    for path in ("/", f"/jobs/{job_id}", f"/jobs/{job_id}/compare"):
        text = gate.client.get(path).text
        assert "\u202e" not in text
        assert "\\u202e" in text


def test_nobody_is_told_that_an_adapter_is_safe(gate: Gate) -> None:
    """Every page says what sanitizing does: it reduces risk."""
    for path in addresses(gate):
        text = words(gate.client.get(path).text)
        assert "reduces risk" in text
        assert " safe " not in text.lower().replace("safe lora", "")
