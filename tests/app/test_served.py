"""The gate behind a real server: what only a socket can show."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx2
import pytest
import uvicorn

from app.no_http import ProblemProtocol
from core.settings import LimitSettings
from tests.app.conftest import OpenGate
from tests.app.gate import CONFIG, WEIGHTS, Gate, weights_of

HEAD = (
    b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    b'--b\r\nContent-Disposition: form-data; name="adapter"\r\n\r\n'
)


@pytest.fixture
def gate(open_gate: OpenGate) -> Gate:
    return open_gate(limits=LimitSettings(upload=200_000_000))


@pytest.fixture
def port(gate: Gate) -> Iterator[int]:
    config = uvicorn.Config(
        gate.client.app, port=0, http=ProblemProtocol, ws="none", lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive(), "a request holds the server up"


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.01)


def test_upload_over_a_socket(gate: Gate, port: int) -> None:
    """The whole way, with a client of today."""
    gate.register()
    response = httpx2.post(
        f"http://localhost:{port}/v1/jobs", files={"adapter": WEIGHTS, "config": CONFIG}
    )
    assert response.status_code == 202


def test_client_that_goes_away_leaves_nothing(gate: Gate, port: int) -> None:
    """An upload that breaks off is cleaned up, and nothing of it was accepted."""
    store = gate.services.store
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(HEAD + weights_of("x" * 4_000_000)[:3_000_000])
        wait_until(lambda: any(store.unfinished("")))
    wait_until(lambda: not any(store.unfinished("")) and not any(store.list("")))
    wait_until(lambda: not gate.scratch())


def test_refusal_comes_before_the_body_is_sent(port: int) -> None:
    """A part that nobody wants is refused as its name arrives, not a hundred megabytes later."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(5)
        client.sendall(HEAD.replace(b'"adapter"', b'"weights"') + bytes(1_500_000))
        assert client.recv(4096).startswith(b"HTTP/1.1 422 ")


def test_announced_size_is_refused_unread(port: int) -> None:
    """413 on the headers alone."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(5)
        client.sendall(HEAD.replace(b"100000000", b"900000000"))
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_waiting_caller_that_goes_away_is_forgotten(gate: Gate, port: int) -> None:
    """Its poll ends, so that the server can."""
    gate.register()
    job_id = gate.post().json()["id"]
    with suppress(httpx2.ReadTimeout):
        httpx2.get(f"http://localhost:{port}/v1/jobs/{job_id}?wait=30", timeout=0.3)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET /v1/jobs/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", id="not ASCII"),
        pytest.param(b"GET /v1/jobs?a=" + b"x" * 2**20 + b" HTTP/1.1\r\n\r\n", id="huge"),
        pytest.param(b"GET /v1/jobs HTTP/1.1\r\n\r\n", id="without Host"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", id="TLS"),
        pytest.param(
            b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n", id="length"
        ),
        pytest.param(
            HEAD.replace(b"Content-Length: 100000000", b"Transfer-Encoding: chunked"), id="chunk"
        ),
    ],
)
def test_what_is_no_http_gets_a_problem_too(port: int, sent: bytes) -> None:
    """Which its sender can read as any other, before the connection ends."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(5)
        client.sendall(sent)
        head, _, body = everything(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["code"] == "http_error"


def test_what_is_no_http_after_an_answer_ends_the_connection(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A second answer would belong to no request."""
    head = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(5)
        client.sendall(head)
        assert client.recv(4096).startswith(b"HTTP/1.1 404 ")
        client.sendall(b"no chunk\r\n")
        assert b"HTTP/1.1" not in everything(client)
    assert [record for record in caplog.records if record.exc_info] == []


def everything(client: socket.socket) -> bytes:
    """What comes until the other side has closed."""
    got = b""
    with suppress(ConnectionResetError):
        while data := client.recv(65536):
            got += data
    return got
