"""A gate that loses answers, is away, or says later."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from safelora import Gate, GateError, GateFailed, NoGate, Patience, RequestRefused, Unavailable
from safelora.wire import may_pass
from tests.safelora.conftest import Connect
from tests.safelora.serving import LOST, Told, problem, says, scripted
from tests.servers import free_ports

QUICK = Patience(seconds=60.0, first_pause=0.01, longest_pause=0.01)
PARTS = {"adapter": b"weights", "config": b"{}"}
JOB = says(202, {"id": "j", "state": "queued", "error": None})
CALLS: dict[str, Callable[[Gate], Any]] = {
    "submit": lambda gate: gate.submit(PARTS),
    "retry": lambda gate: gate.retry("j"),
    "job": lambda gate: gate.job("j"),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_lost_is_sent_again(connect: Connect, name: str) -> None:
    """Whole, under the same key, until there is an answer."""
    away = [LOST, problem(503, "queue_full"), Told(502), Told(504), problem(429, "slow_down")]
    with scripted(*away, JOB) as script:
        assert CALLS[name](connect(script.url, patience=QUICK)).id == "j"
    assert len(script.heard) == 6
    keys = {heard.headers.get("Idempotency-Key") for heard in script.heard}
    assert len(keys) == 1
    assert (None in keys) == (name == "job")
    assert len({heard.body for heard in script.heard}) == 1
    if name == "submit":
        assert script.heard[-1].body.count(b"weights") == 1


def test_each_call_has_a_key_of_its_own(connect: Connect) -> None:
    with scripted(JOB) as script:
        client = connect(script.url)
        client.submit(PARTS)
        client.submit(PARTS)
    first, second = (heard.headers["Idempotency-Key"] for heard in script.heard)
    assert first != second


@pytest.mark.parametrize(
    "call",
    [
        lambda gate: gate.cancel("j"),
        lambda gate: gate.register("a", "b", "c"),
        lambda gate: gate.set_policies("a", floor=None),
        lambda gate: gate.version(),
    ],
)
@pytest.mark.parametrize("answer", [LOST, Told(503), problem(429, "slow_down", Retry_After="0")])
def test_what_has_no_key_is_sent_once(
    connect: Connect, call: Callable[[Gate], Any], answer: Told
) -> None:
    """It may have come through, and a second time may say something else."""
    with scripted(answer) as script, pytest.raises(Unavailable):
        call(connect(script.url, patience=QUICK))
    assert len(script.heard) == 1


def test_gate_that_asks_for_more_than_is_given_is_left_at_once(connect: Connect) -> None:
    """With the gate's own code and words, and no pause."""
    answer = problem(503, "queue_full", Retry_After="3600")
    with scripted(answer) as script, pytest.raises(Unavailable) as caught:
        connect(script.url).job("j")
    assert (caught.value.code, caught.value.status) == ("queue_full", 503)
    assert len(script.heard) == 1


@pytest.mark.parametrize("answer", [LOST, Told(502)])
def test_gate_that_stays_away_is_given_up(connect: Connect, answer: Told) -> None:
    short = Patience(seconds=0.05, first_pause=0.01, longest_pause=0.01)
    with scripted(answer) as script, pytest.raises(Unavailable, match="does not answer") as caught:
        connect(script.url, patience=short).job("j")
    assert caught.value.code == "gate_unreachable"
    assert len(script.heard) > 1


def test_nothing_at_the_address_is_said_so(connect: Connect) -> None:
    (port,) = free_ports(1)
    with pytest.raises(Unavailable, match="does not answer"):
        connect(f"http://127.0.0.1:{port}", patience=Patience(seconds=0)).job("j")


def test_deleting_what_is_gone_after_a_lost_answer_is_done(connect: Connect) -> None:
    """The first try may have done it; where it surely did not, it is an error."""
    gone = problem(404, "job_not_found")
    with scripted(LOST, gone) as script:
        connect(script.url, patience=QUICK).delete("j")
    for first in (problem(429, "slow_down"), problem(503, "queue_unavailable")):
        with scripted(first, gone) as script, pytest.raises(RequestRefused):
            connect(script.url, patience=QUICK).delete("j")


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (problem(400, "bad_request"), RequestRefused, "bad_request"),
        (problem(409, "job_failed"), RequestRefused, "job_failed"),
        (problem(418, "of_tomorrow"), RequestRefused, "of_tomorrow"),
        (problem(500, "internal_error"), GateFailed, "internal_error"),
        (problem(501, "of_tomorrow"), GateFailed, "of_tomorrow"),
        (Told(404, b"<html>"), NoGate, "no_gate"),
        (says(404, ["not", "found"]), NoGate, "no_gate"),
        (says(404, {"code": 7, "detail": None}), NoGate, "no_gate"),
        (Told(500, b""), NoGate, "no_gate"),
        (Told(200, b"<html>"), NoGate, "no_gate"),
        (says(200, {}), NoGate, "no_gate"),
        (Told(204), NoGate, "no_gate"),
        (Told(302, b"", {"Location": "/elsewhere"}), NoGate, "no_gate"),
    ],
)
def test_answers_become_errors(
    connect: Connect, answer: Told, kind: type[GateError], code: str
) -> None:
    """Asked once: none of them gets better."""
    with scripted(answer) as script, pytest.raises(GateError) as caught:
        connect(script.url, patience=QUICK).job("j")
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert len(script.heard) == 1


def test_no_certificate_gets_better_by_waiting() -> None:
    error = httpx2.ConnectError("no")
    assert may_pass(error)
    error.__cause__ = ssl.SSLCertVerificationError("self-signed")
    assert not may_pass(error)
    assert not may_pass(httpx2.LocalProtocolError("no"))


def test_pages_are_asked_for_as_one_goes_on(connect: Connect) -> None:
    """With the filters of the first; no page before it is needed."""
    pages = [
        says(200, {"jobs": [{"id": str(n), "state": "failed"}], "next_cursor": cursor})
        for n, cursor in ((1, "a"), (2, "b"), (3, None))
    ]
    with scripted(*pages) as script:
        jobs = connect(script.url).jobs(state="failed")
        assert next(jobs).id == "1"
        assert len(script.heard) == 1
        assert [job.id for job in jobs] == ["2", "3"]
    queries = [heard.path.partition("?")[2] for heard in script.heard]
    assert queries == [
        f"state=failed&limit=100{cursor}" for cursor in ("", "&cursor=a", "&cursor=b")
    ]


def test_files_are_read_anew_for_each_try(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(bytes(3_000_000) + b"end")
    with scripted(LOST, JOB) as script:
        connect(script.url, patience=QUICK).submit(tmp_path / "x.tar")
    assert [heard.body.count(b"end") for heard in script.heard] == [1, 1]
