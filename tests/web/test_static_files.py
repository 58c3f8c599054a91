"""Scripts and styles: what the pages name is there, and nothing else is."""

import re
from importlib.resources import files

import pytest

from tests.app.conftest import OpenGate
from tests.app.gate import Gate
from tests.app.test_access import access, key
from tests.web.structure import elements
from tests.web.test_pages import addresses

STATIC = files("app.web") / "static"


def test_what_pages_name_is_served(gate: Gate) -> None:
    """Each file with its type; and what a script imports, too."""
    named = {
        target
        for path in addresses(gate)
        for element in elements(gate.client.get(path).text)
        for target in (element.attributes.get("src"), element.attributes.get("href"))
        if target and target.startswith("/static/")
    }
    assert len(named) > 5
    for address in sorted(named):
        answer = gate.client.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["x-content-type-options"] == "nosniff"
        imported = re.findall(r'from "\./([a-z_]+\.js)"', answer.text)
        assert all(gate.client.get(f"/static/{name}").status_code == 200 for name in imported)


def test_every_file_is_served_byte_for_byte(gate: Gate) -> None:
    """None lies there for nothing."""
    for file in STATIC.iterdir():
        assert gate.client.get(f"/static/{file.name}").content == file.read_bytes(), file.name


def test_what_has_not_changed_is_not_sent_again(gate: Gate) -> None:
    """304 for who has it; everyone asks each time, so that an upgrade is seen at once."""
    first = gate.client.get("/static/page.css")
    assert first.headers["cache-control"] == "no-cache"
    again = gate.client.get("/static/page.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = gate.client.get("/static/page.css", headers={"If-None-Match": '"other"'})
    assert other.content == first.content


@pytest.mark.parametrize(
    "name",
    ["", "other.js", "../pages.py", "..%2fpages.py", "%2e%2e/pages.py", "page.css/", "page.css%00"],
)
def test_nothing_else_is_served(gate: Gate, name: str) -> None:
    """No path that a client sends leads to a file."""
    assert gate.client.get(f"/static/{name}").status_code == 404


def test_they_need_no_key(open_gate: OpenGate) -> None:
    """The page where a key is typed is shown with its style."""
    gate = open_gate(access=access(key("slg_alice", "a", "jobs")))
    assert gate.client.get("/static/page.css").status_code == 200
