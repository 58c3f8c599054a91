"""What a real store does too seldom to wait for: broken connections, conflicts, refusals."""

import contextlib
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import TypeVar

_PIECE = 1 << 16

Server = TypeVar("Server", bound=socketserver.BaseServer)


class CuttingProxy(socketserver.ThreadingTCPServer):
    """Passes bytes on to a server on `port`, but breaks its first `cuts` connections off.

    Each is broken when the server has answered with more than `keep` bytes; those get through.
    """

    def __init__(self, port: int, *, keep: int, cuts: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.upstream = port
        self.open: list[socket.socket] = []
        self.keep = [keep] * cuts
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def server_close(self) -> None:
        for connection in self.open:
            _shut(connection)
        super().server_close()


class _Connection(socketserver.BaseRequestHandler):
    server: CuttingProxy

    def handle(self) -> None:
        keep = self.server.keep.pop() if self.server.keep else None
        with socket.create_connection(("127.0.0.1", self.server.upstream)) as upstream:
            self.server.open += [self.request, upstream]
            questions = threading.Thread(target=_pass_on, args=(self.request, upstream, None))
            questions.start()
            _pass_on(upstream, self.request, keep)
            questions.join()


def _pass_on(source: socket.socket, target: socket.socket, keep: int | None) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            if keep is not None and len(piece) > keep:
                target.sendall(piece[:keep])
                break
            target.sendall(piece)
            keep = None if keep is None else keep - len(piece)
    _shut(source)
    _shut(target)


def _shut(connection: socket.socket) -> None:
    """Wake whoever waits on it, here and at the other end."""
    with contextlib.suppress(OSError):  # shut already
        connection.shutdown(socket.SHUT_RDWR)


class ScriptedStore(HTTPServer):
    """Gives `answers`, (HTTP status, S3 error code) each, one a request, whatever is asked."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.answers = list(answers)
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: ScriptedStore
    protocol_version = "HTTP/1.1"  # which knows `100 Continue`: boto3 would wait a second for it

    def do_PUT(self) -> None:
        status, code = self.server.answers.pop(0)
        self.rfile.read(int(self.headers["Content-Length"]))
        body = f"<Error><Code>{code}</Code></Error>".encode() if code else b""
        self.send_response(status)
        self.send_header("ETag", '"scripted"')
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Tests say what they have to say themselves."""


class OddStore(ThreadingHTTPServer):
    """Has `data` at every key, and sends it as it should until its fields say otherwise.

    `refusal`: (HTTP status, S3 error code) of every answer. `drips`: so many answers come a byte at
    a time; all do not come at all where it is `silent`.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _OddAnswer)
        self.data = data
        self.etag: str | None = "asked"
        self.shift = 0
        self.content_range: str | None = None
        self.refusal: tuple[int, str] | None = None
        self.drips = 0
        self.silent = False
        self.asked = 0
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def server_close(self) -> None:
        self.over.set()
        super().server_close()


class _OddAnswer(BaseHTTPRequestHandler):
    server: OddStore

    def do_GET(self) -> None:
        store = self.server
        store.asked += 1
        if store.silent:
            store.over.wait()
        if store.refusal is not None:
            status, code = store.refusal
            self._send(status, f"<Error><Code>{code}</Code></Error>".encode())
        elif "list-type=2" in self.path:
            etag = f"<ETag>{store.etag}</ETag>" if store.etag else ""
            entry = f"<Key>a/x.json</Key><Size>{len(store.data)}</Size>{etag}"
            told = (
                "<ListBucketResult><IsTruncated>false</IsTruncated>"
                f"<Contents>{entry}</Contents></ListBucketResult>"
            )
            self._send(200, told.encode())
        else:
            self._send_part()

    def _send_part(self) -> None:
        store = self.server
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"] or "")
        start, last = (int(asked[1]), int(asked[2])) if asked else (0, len(store.data) - 1)
        start, last = start + store.shift, last + store.shift
        shown = store.content_range or f"bytes {start}-{last}/{len(store.data)}"
        headers = {"Content-Range": shown, **({"ETag": store.etag} if store.etag else {})}
        self._send(206 if asked else 200, store.data[start : last + 1], **headers)

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        drips, self.server.drips = self.server.drips, max(0, self.server.drips - 1)
        with contextlib.suppress(OSError):  # who asked has gone
            drip(self, body, self.server.over) if drips else self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Tests say what they have to say themselves."""


def drip(answer: BaseHTTPRequestHandler, body: bytes, over: threading.Event) -> None:
    """A byte at a time, until it is `over`."""
    for byte in body:
        answer.wfile.write(bytes([byte]))
        answer.wfile.flush()
        if over.wait(0.05):
            return


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Serve in a thread while the block runs."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
