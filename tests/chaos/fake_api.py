"""An API that answers as a test tells it to."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answer = tuple[int, Any]
"""Status, and the body: bytes, or what becomes JSON."""


@dataclass
class FakeApi:
    """`answer` takes method, path and idempotency key; `asked` has those of every request."""

    answer: Callable[[str, str, str | None], Answer]
    url: str = ""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)


@contextmanager
def fake_api(answer: Callable[[str, str, str | None], Answer]) -> Iterator[FakeApi]:
    api = FakeApi(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            request = (self.command, self.path, self.headers.get("Idempotency-Key"))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            api.asked.append(request)
            status, body = api.answer(*request)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()


def document(job_id: str = "j1", state: str = "queued", **fields: Any) -> dict[str, Any]:
    """A job as the API shows it, as far as anyone looks."""
    ended = "2026-11-25T03:00:00.000Z" if state in ("succeeded", "rejected", "failed") else None
    return {"id": job_id, "state": state, "finished_at": ended, **fields}
