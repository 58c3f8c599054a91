"""Weights with a wrong header are refused while they arrive, and the rest is not read."""

import json
import socket
import struct
import threading

import anyio
import pytest
import uvicorn
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from tests.app.gate import CONFIG, WEIGHTS, Gate, code_of
from tests.app.test_forms import BOUNDARY, END, FORM, part
from tests.archives import pack_zip

MEGABYTE = 2**20
HEAD = part("adapter", b"")[:-2]
WRONG = {
    "header_invalid": struct.pack("<Q", 2**50) + b"{",
    "pickle_file": b"\x80\x04\x95" + bytes(40),
    "gguf_file": b"GGUF\x03\0\0\0" + bytes(40),
    "duplicate_key": struct.pack("<Q", 18) + b'{"a": {}, "a": {}}',
}


class Endless:
    """One request whose body never ends, sent straight to the app, and how much of it was read."""

    def __init__(self, start: bytes) -> None:
        self._pieces = [start[at : at + 4096] for at in range(0, len(start), 4096)]
        self.read = 0
        self.status = 0
        self.headers = Headers()
        self.body = b""

    async def receive(self) -> Message:
        piece = self._pieces.pop(0) if self._pieces else bytes(4096)
        self.read += len(piece)
        assert self.read < 64 * MEGABYTE, "it is read on, though it is wrong from its start"
        return {"type": "http.request", "body": piece, "more_body": True}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], Headers(raw=message["headers"])
        else:
            self.body += message["body"]

    def post_to(self, gate: Gate) -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/jobs",
            "query_string": b"",
            "headers": [
                (b"host", b"localhost"),
                (b"content-type", FORM["Content-Type"].encode()),
            ],
            "client": ("127.0.0.1", 50000),
        }
        anyio.run(gate.client.app, scope, self.receive, self.send)


@pytest.mark.parametrize("code", WRONG)
@pytest.mark.parametrize("before", [b"", part("config", CONFIG), part("config", bytes(900_000))])
def test_an_endless_body_is_not_read_on(gate: Gate, code: str, before: bytes) -> None:
    """422 with findings, before 1 MB of the part was read, whatever came before it."""
    gate.register()
    sent = Endless(before + HEAD + WRONG[code])
    sent.post_to(gate)
    problem = json.loads(sent.body)
    assert (sent.status, problem["code"]) == (422, "adapter_rejected")
    [found] = problem["findings"]
    assert (found["code"], found["subject"]) == (code, "adapter_model.safetensors")
    assert found["why"]
    assert found["action"]
    assert sent.headers["connection"] == "close"
    assert sent.read - len(before) < MEGABYTE


@pytest.mark.parametrize("code", WRONG)
def test_nothing_of_it_is_kept(any_gate: Gate, code: str) -> None:
    """No job, no mark, no object, no file on the API's disk."""
    any_gate.register()
    before = set(any_gate.services.store.list(""))
    body = HEAD + WRONG[code] + b"\r\n" + part("config", CONFIG) + END
    response = any_gate.client.post("/v1/jobs", content=body, headers=FORM)
    assert (response.status_code, code_of(response)) == (422, "adapter_rejected")
    assert set(any_gate.services.store.list("")) == before
    assert any_gate.scratch() == []


@pytest.mark.parametrize(
    ("weights", "code"), [(WEIGHTS[:-1], "truncated_file"), (WEIGHTS + b"x", "header_invalid")]
)
def test_a_file_that_is_not_as_long_as_its_header_says_is_refused(
    gate: Gate, weights: bytes, code: str
) -> None:
    """At the part's end, or at the first byte too many."""
    gate.register()
    response = gate.post(weights=weights)
    assert (response.status_code, code_of(response)) == (422, "adapter_rejected")
    assert [found["code"] for found in response.json()["findings"]] == [code]


def test_in_an_archive_it_is_the_workers_to_judge(gate: Gate) -> None:
    """The job ends as rejected, with a report."""
    gate.register()
    archive = pack_zip({"adapter_model.safetensors": b"GGUF", "adapter_config.json": CONFIG})
    response = gate.client.post("/v1/jobs", files={"archive": archive})
    assert response.status_code == 202


class Counting:
    """The app behind a real server, and how many bytes of a body it took off it."""

    def __init__(self, gate: Gate) -> None:
        self._app = gate.client.app
        self.taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted() -> Message:
            message = await receive()
            self.taken += len(message.get("body", b""))
            return message

        await self._app(scope, counted, send)


def test_a_real_server_answers_while_the_sender_still_sends(gate: Gate) -> None:
    """The answer is there to read, and the connection ends, so that even a client that sends its
    body to the end stops."""
    gate.register()
    app = Counting(gate)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with socket.create_connection(listener.getsockname()[:2], timeout=30) as connection:
            connection.sendall(
                b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000000\r\n"
                + f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode()
                + HEAD
                + WRONG["pickle_file"]
            )
            sent = 0
            try:
                while sent < 256 * MEGABYTE:
                    sent += connection.send(bytes(65536))
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert sent < 256 * MEGABYTE
            answer = b""
            try:
                while piece := connection.recv(65536):
                    answer += piece
            except ConnectionResetError:
                pass
        assert answer.startswith(b"HTTP/1.1 422 ")
        assert b"pickle_file" in answer
        assert app.taken < MEGABYTE
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
