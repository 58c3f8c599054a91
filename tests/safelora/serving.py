"""Servers on loopback: the app as it is served, and one that answers as it is told."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import uvicorn


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The app on a socket; its address."""

    async def closing_its_feed(scope: Any, receive: Any, send: Any) -> None:
        """The feed lives in the loop that followers were served in, and ends with it."""
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await app.state.services.feed.close()
        await send({"type": "lifespan.shutdown.complete"})

    config = uvicorn.Config(
        closing_its_feed, port=0, ws="none", log_config=None, timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


@dataclass(frozen=True)
class Told:
    """One answer. `cut`: the connection is closed after so many bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None


LOST = Told(0)  # the connection is closed without an answer


@dataclass(frozen=True)
class Heard:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Scripted:
    """A server that gives these answers one after the other, the last one for ever."""

    url: str
    answers: list[Told]
    heard: list[Heard] = field(default_factory=list)


def says(status: int, body: Any, **headers: str) -> Told:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Told(status, json.dumps(body).encode(), named)


def problem(status: int, code: str, **headers: str) -> Told:
    return says(status, {"status": status, "code": code, "detail": f"about {code}"}, **headers)


@contextmanager
def scripted(*answers: Told, host: str = "127.0.0.1") -> Iterator[Scripted]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.heard.append(Heard(self.command, self.path, dict(self.headers), body))
            answer = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            if answer is LOST:
                self.close_connection = True
                return
            self.send_response(answer.status)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            for name, text in answer.headers.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(answer.body[: answer.cut])

        do_POST = do_DELETE = do_PATCH = do_GET  # noqa: N815  (as the library names them)

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        script = Scripted(f"http://{host}:{server.server_port}", list(answers))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()
