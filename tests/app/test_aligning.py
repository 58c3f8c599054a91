"""Registering over HTTP and waiting, through all that a gate may answer meanwhile."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from app.terminal.aligning import align
from safelora import (
    Alignment,
    AlignmentFailed,
    Gate,
    NoGate,
    Patience,
    RequestRefused,
    Unavailable,
)
from tests.servers import free_ports

ORDER = {"name": "tiny", "base": "/models/base", "aligned": "/models/aligned"}


def alignment(state: str, **fields: Any) -> tuple[int, Any]:
    """An answer of the gate, with a field that this client knows nothing of."""
    common: dict[str, Any] = {
        "id": None,
        "error": None,
        "warnings": [],
        "progress": None,
        "created_at": "then",
    }
    return 200, {"name": "tiny", "state": state, "new": True, **common, **fields}


def problem(status: int, code: str) -> tuple[int, Any]:
    return status, {"status": status, "code": code, "detail": f"about {code}"}


BUILDING = alignment("building")
READY = alignment("ready", id="a" * 40)


@dataclass
class Scripted:
    """A server that gives these answers one after the other, the last one for ever."""

    answers: list[tuple[int, Any]]
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""

    def next(self) -> tuple[int, Any]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def gate(*answers: tuple[int, Any]) -> Iterator[Scripted]:
    script = Scripted(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.seen.append((self.command, self.path, self.headers["Authorization"]))
            status, body = script.next()
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815  (as the library names them)

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        script.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()


def aligned(url: str, *, patience: float = 60.0) -> tuple[Alignment, list[Any]]:
    """What was built, and the progress that was shown on the way."""
    shown: list[Any] = []
    with Gate(url, "slg_key", patience=Patience(patience, 0.01, 0.01)) as client:
        found = align(client, ORDER, lambda *step: shown.append(step), poll=0.01)
    return found, shown


def test_waits_until_ready_and_shows_how_far() -> None:
    """Posted once with the key, then asked for by name."""
    progress = {"stage": "build", "done": 3, "total": 9}
    with gate(BUILDING, alignment("building", progress=progress), READY) as script:
        built, shown = aligned(script.url)
    assert (built.id, built.warnings, shown) == ("a" * 40, [], [(0, 0, "queued"), (3, 9, "build")])
    assert script.seen == [
        ("POST", "/v1/alignments", "Bearer slg_key"),
        *[("GET", "/v1/alignments/tiny", "Bearer slg_key")] * 2,
    ]


def test_gate_that_is_started_anew_is_waited_for() -> None:
    """Builds take hours: neither a proxy's error page nor a 429 ends the wait."""
    away = [(503, b"<html>"), problem(429, "too_many_requests"), (502, b"")]
    with gate(BUILDING, *away, READY) as script:
        assert aligned(script.url)[0].id == "a" * 40


def test_gate_that_stays_away_is_given_up() -> None:
    """With words on how to go on."""
    with gate(BUILDING, (503, b"")) as script, pytest.raises(Unavailable, match="run the same"):
        aligned(script.url, patience=0.05)


def test_no_gate_there_is_said_so() -> None:
    """Before anything is waited for."""
    (port,) = free_ports(1)
    with pytest.raises(Unavailable, match="does not answer"):
        aligned(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("status", [401, 403, 409, 422])
def test_refused_order_says_why(status: int) -> None:
    """The problem's own code and words."""
    with gate(problem(status, "because")) as script, pytest.raises(RequestRefused) as caught:
        aligned(script.url)
    assert (caught.value.code, caught.value.detail) == ("because", "about because")


@pytest.mark.parametrize("answer", [(200, b"<html>"), (200, {}), (404, b"<html>"), (404, [])])
def test_something_else_at_the_address_is_said_so(answer: tuple[int, Any]) -> None:
    """A wrong --url is named as one."""
    with gate(answer) as script, pytest.raises(NoGate) as caught:
        aligned(script.url)
    assert caught.value.code == "no_gate"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (
            alignment("failed", error={"code": "pair_identical", "message": "same"}),
            "pair_identical",
        ),
        (problem(404, "alignment_not_found"), "alignment_not_found"),
        (problem(500, "internal_error"), "internal_error"),
    ],
)
def test_build_that_comes_to_nothing_says_why(answer: tuple[int, Any], code: str) -> None:
    """Failed, removed meanwhile, or the gate's own fault."""
    with gate(BUILDING, answer) as script, pytest.raises(AlignmentFailed) as caught:
        aligned(script.url)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "answer",
    [
        problem(404, "alignment_not_found"),
        alignment("building", created_at="later"),
        alignment("ready", id="b" * 40, created_at="later"),
    ],
)
def test_name_that_is_taken_away_is_not_waited_for(answer: tuple[int, Any]) -> None:
    """Nor is what it was given to since taken for this pair; the words say how to go on."""
    with gate(BUILDING, answer) as script, pytest.raises(AlignmentFailed) as caught:
        aligned(script.url)
    assert caught.value.code == "alignment_not_found"
    assert "goes on" in caught.value.detail


def test_what_is_odd_about_the_pair_is_told() -> None:
    """Beside the id: the alignment is ready all the same."""
    odd = {"code": "pair_far_apart", "message": "the two models differ"}
    with gate(BUILDING, alignment("ready", id="a" * 40, warnings=[odd])) as script:
        built, _ = aligned(script.url)
    assert [warning.model_dump() for warning in built.warnings] == [odd]


def command(url: str) -> list[str]:
    """`safelora-gate align` of two folders against the gate at `url`."""
    pair = ["--base", "/models/base", "--aligned", "/models/aligned"]
    return [sys.executable, "-m", "app.cli", "align", "tiny", *pair, "--url", url]


def test_interrupted_wait_says_how_to_stop_the_build() -> None:
    """Ctrl-C ends the wait alone; the last line has the request that ends the build."""
    with gate(BUILDING) as script:
        waiting = subprocess.Popen(command(script.url), stderr=subprocess.PIPE, text=True)
        with waiting:
            while len(script.seen) < 2:
                assert waiting.poll() is None
                time.sleep(0.01)
            waiting.send_signal(signal.SIGINT)
            _, told = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert told.splitlines()[-1].startswith("the gate goes on building tiny; to stop it: curl")
    assert told.endswith(f"-X DELETE {script.url}/v1/alignments/tiny\n")


def test_warnings_are_printed_before_the_id() -> None:
    """On stderr, so that stdout stays one line; exit 0, as without."""
    odd = {"code": "pair_far_apart", "message": "the two models differ"}
    with gate(alignment("ready", id="a" * 40, warnings=[odd])) as script:
        done = subprocess.run(
            command(script.url), capture_output=True, text=True, check=False, timeout=120
        )
    assert (done.returncode, done.stdout) == (0, f"tiny is ready: {'a' * 40}\n")
    assert done.stderr == "warning [pair_far_apart]: the two models differ\n"
