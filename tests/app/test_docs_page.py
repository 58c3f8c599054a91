"""The page at /docs: people type their keys there."""

import re

from tests.app.conftest import OpenGate
from tests.app.gate import Gate
from tests.app.test_access import KEY, access, key


def test_nothing_of_the_page_comes_from_elsewhere(gate: Gate) -> None:
    """Whatever it names is an address of this gate, and its policy lets nothing else in."""
    page = gate.client.get("/docs")
    assert page.status_code == 200
    named = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page.text)
    assert len(named) == 3
    for address in named:
        answer = gate.client.get(address)
        assert (answer.status_code, address[0]) == (200, "/")
        assert answer.content
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]


def test_it_needs_no_key(open_gate: OpenGate) -> None:
    """Nor do its files: it is read before there is one."""
    gate = open_gate(access=access(key(KEY, "a", "jobs")))
    for path in ("/docs", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"):
        assert gate.client.get(path).status_code == 200
    assert gate.client.get("/docs/other.js").status_code == 401
