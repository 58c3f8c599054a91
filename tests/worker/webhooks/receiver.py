"""A receiver on loopback: a real server that keeps what it was sent, and answers as it is told."""

import ssl
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

Answer = int | tuple[int, dict[str, str]]


@dataclass(frozen=True)
class Sent:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`answers` are given in turn, the last of them for ever. `go` holds the answers back."""

    port: int
    scheme: str = "http"
    answers: deque[Answer] = field(default_factory=lambda: deque([200]))
    got: list[Sent] = field(default_factory=list)
    go: Event = field(default_factory=Event)

    @property
    def origin(self) -> str:
        host = "127.0.0.1" if self.scheme == "http" else "localhost"
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/hook"

    def answer(self, *answers: Answer) -> None:
        self.answers.clear()
        self.answers.extend(answers)

    def next_answer(self) -> Answer:
        return self.answers.popleft() if len(self.answers) > 1 else self.answers[0]

    def ids(self) -> list[str]:
        return [sent.headers["webhook-id"] for sent in self.got]


class _Server(ThreadingHTTPServer):
    receiver: Receiver
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        receiver.got.append(Sent(self.path, headers, body))
        receiver.go.wait(30)
        answer = receiver.next_answer()
        status, extra = answer if isinstance(answer, tuple) else (answer, {})
        self.send_response(status)
        for name, value in extra.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@contextmanager
def receiving(
    *answers: Answer, tls: ssl.SSLContext | None = None, held: bool = False
) -> Iterator[Receiver]:
    """`held`: answers wait until the test sets `go`."""
    server = _Server(("127.0.0.1", 0), _Handler)
    receiver = Receiver(server.server_address[1], "https" if tls else "http")
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    if answers:
        receiver.answer(*answers)
    if not held:
        receiver.go.set()
    server.receiver = receiver
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.go.set()
        server.shutdown()
        server.server_close()
        thread.join()


def origins(receivers: Sequence[Receiver]) -> list[str]:
    """What the operator lists for them."""
    return [receiver.origin for receiver in receivers]
