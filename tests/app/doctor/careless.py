"""An S3 store that takes no notice of what the gate relies on: SeaweedFS behind a proxy."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

from tests.core.store.faults import running
from tests.servers import SeaweedServer

_IGNORED = {"if-none-match", "x-amz-checksum-sha256", "x-amz-sdk-checksum-algorithm"}
_OWN = {"host", "connection", "authorization", "content-length", "x-amz-content-sha256", "expect"}
_HOP = {"connection", "transfer-encoding", "content-length", "date", "server"}


class OpenSeaweed(SeaweedServer):
    """Lets in whoever sends no signature, which the proxy would break."""

    def _identities(self) -> dict[str, object]:
        known = super()._identities()["identities"]
        assert isinstance(known, list)
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        return {"identities": [*known, {"name": "anonymous", "actions": actions}]}


class CarelessProxy(ThreadingHTTPServer):
    """Passes requests on without the headers that ask for a condition or a checksum."""

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.upstream = httpx2.Client(base_url=upstream, trust_env=False)
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Passing(BaseHTTPRequestHandler):
    server: CarelessProxy
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        path, _, query = self.path.partition("?")
        kept = [part for part in query.split("&") if part and not part.startswith("X-Amz-")]
        left_out = _IGNORED | _OWN
        answer = self.server.upstream.request(
            self.command,
            f"{path}?{'&'.join(kept)}",
            content=self.rfile.read(int(self.headers.get("Content-Length", 0))),
            headers={n: v for n, v in self.headers.items() if n.lower() not in left_out},
        )
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        length = answer.headers.get("content-length", "0") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(answer.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass_on  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Tests say what they have to say themselves."""


@contextmanager
def careless() -> Iterator[tuple[OpenSeaweed, str]]:
    """The server, and the address at which it is careless."""
    with OpenSeaweed() as server, running(CarelessProxy(server.endpoint_url)) as proxy:
        try:
            yield server, proxy.url
        finally:
            proxy.upstream.close()
