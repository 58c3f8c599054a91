"""Where the gate is and by which key: wrong ones are told before anything is sent."""

import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from safelora import Gate, GateError, Patience, UsageError
from tests.safelora.conftest import Connect
from tests.safelora.serving import LOST, Told, problem, scripted

KEY = "slg_very-secret"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAFELORA_URL", raising=False)
    monkeypatch.delenv("SAFELORA_KEY", raising=False)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000",
        "ftp://127.0.0.1",
        "http://",
        "http://[",
        "http://host:port",
        "http://key@127.0.0.1",
        "http://a:b@127.0.0.1",
        "http://127.0.0.1?key=x",
        "http://127.0.0.1/#x",
    ],
)
def test_what_is_no_address_is_refused(connect: Connect, url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        connect(url)


@pytest.mark.parametrize("key", ["", " ", "slg_\n", "slg_é", "slg_\0"])
def test_what_is_no_key_is_refused(connect: Connect, key: str) -> None:
    """Without repeating it: terminals are recorded."""
    with pytest.raises(UsageError, match="the key holds") as caught:
        connect("http://127.0.0.1:8000", key)
    assert "slg" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://gate", "http://10.0.0.7:8000", "http://127.0.0.1.evil"])
def test_key_is_not_sent_in_clear_to_another_machine(connect: Connect, url: str) -> None:
    """Unless that is allowed; without a key, or on this machine, there is nothing to hide."""
    with pytest.raises(UsageError, match="could read the key"):
        connect(url, KEY)
    assert connect(url, KEY, allow_http=True).url == url
    assert connect(url).url == url
    for other in (url.replace("http:", "https:"), "http://localhost:8000", "http://[::1]:8000"):
        assert connect(other, KEY).url == other


def test_environment_says_what_is_not_given(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty variable says nothing; an argument goes before."""
    assert connect().url == "http://127.0.0.1:8000"
    with scripted(problem(401, "unauthorized")) as script:
        monkeypatch.setenv("SAFELORA_URL", f"{script.url}/gate/")
        monkeypatch.setenv("SAFELORA_KEY", KEY)
        for key in (None, "slg_other"):
            with pytest.raises(GateError):
                connect(None, key).job("j")
        monkeypatch.setenv("SAFELORA_KEY", "")
        with pytest.raises(GateError):
            connect().job("j")
    keys = [heard.headers.get("Authorization") for heard in script.heard]
    assert keys == [f"Bearer {KEY}", "Bearer slg_other", None]
    assert {heard.path for heard in script.heard} == {"/gate/v1/jobs/j"}


CALLS: list[Callable[[Gate], Any]] = [
    lambda gate: gate.job("j"),
    lambda gate: gate.submit(b"archive"),
    lambda gate: gate.cancel("j"),
    lambda gate: list(gate.events("j")),
    lambda gate: gate.download("j", "/nonexistent/folder"),
]


@pytest.mark.parametrize("answer", [LOST, Told(200, b"<html>"), Told(503), problem(401, "no")])
def test_key_is_shown_nowhere(
    connect: Connect, caplog: pytest.LogCaptureFixture, answer: Told
) -> None:
    """Not in the client's own words, not in an error's, whatever caused it, and in no log."""
    caplog.set_level(logging.DEBUG)
    with scripted(answer) as script:
        client = connect(script.url, KEY, patience=Patience(seconds=0))
        shown = [repr(client), str(client), repr(vars(getattr(client, "gate", client)))]
        for call in CALLS:
            with pytest.raises(GateError) as caught:
                call(client)
            error = caught.value
            shown += [repr(error), str(error), repr(vars(error))]
            shown += traceback.format_exception(error)
    assert any("Bearer" in str(heard.headers) for heard in script.heard)
    assert KEY not in "".join(shown)
    assert KEY not in caplog.text
