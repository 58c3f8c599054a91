"""Who sees which page, and what the others are shown."""

from urllib.parse import parse_qs, urlsplit

import pytest

from core.errors import StoreError
from tests.app.conftest import OpenGate
from tests.app.gate import Gate
from tests.app.test_access import access, key
from tests.app.test_sessions import as_browser_of
from tests.web.made_up import posted
from tests.web.structure import of_id, words

ALICE, BOB, NOBODY = "slg_alice-secret", "slg_bob-secret", "slg_carol-secret"


@pytest.fixture
def keyed(open_gate: OpenGate) -> Gate:
    keys = access(key(ALICE, "alice", "jobs"), key(BOB, "bob", "jobs"), key(NOBODY, "carol"))
    gate = open_gate(access=keys)
    gate.register()
    return gate


@pytest.mark.parametrize(
    "path",
    ["/", "/?state=failed&alignment=base", "/alignments", "/jobs/x", "/jobs/x/compare?with=y"],
)
def test_who_is_not_signed_in_is_led_to_it(keyed: Gate, path: str) -> None:
    """And from there to the page that was asked for."""
    answer = keyed.client.get(path)
    assert answer.status_code == 303
    wanted = urlsplit(answer.headers["location"])
    assert wanted.path == "/sign-in"
    assert parse_qs(wanted.query)["next"] == [path]


def test_others_jobs_do_not_exist(keyed: Gate) -> None:
    """404, alone or as what a job of one's own is compared with, and in no list."""
    as_browser_of(keyed, ALICE)
    hers = posted(keyed).json()["id"]
    as_browser_of(keyed, BOB)
    his = posted(keyed).json()["id"]
    for path in (f"/jobs/{hers}", f"/jobs/{hers}/compare", f"/jobs/{his}/compare?with={hers}"):
        page = keyed.client.get(path)
        assert page.status_code == 404
        assert "job_not_found" in page.text
        assert hers not in page.text.replace(path, "")
    assert hers not in keyed.client.get("/").text
    assert his in keyed.client.get("/").text


def test_key_without_the_scope_is_told_so(keyed: Gate) -> None:
    """Alignments are for every key."""
    as_browser_of(keyed, NOBODY)
    page = keyed.client.get("/")
    assert page.status_code == 403
    assert "lacks the scope jobs" in words(page.text)
    assert keyed.client.get("/alignments").status_code == 200


def test_sign_out_is_there_for_who_signed_in(keyed: Gate, open_gate: OpenGate) -> None:
    """Where no key is needed there is no session to end."""
    as_browser_of(keyed, ALICE)
    assert "/sign-out" in keyed.client.get("/").text
    assert "/sign-out" not in open_gate().client.get("/").text


def test_fault_of_ours_is_a_page_too(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its status, its code, and the reference that the log has."""

    def fails(*_: object, **__: object) -> None:
        raise StoreError("bucket of bob: connection refused")

    monkeypatch.setattr(type(gate.services.records), "job_ids", fails)
    page = gate.client.get("/")
    assert (page.status_code, page.headers["retry-after"]) == (503, "5")
    text = words(page.text)
    assert "store_unavailable" in text
    assert "reference" in text
    assert "bob" not in text
    assert of_id(page.text, "main") is not None
