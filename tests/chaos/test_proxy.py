"""The proxy before the object store: each mode does to connections what it is named for."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException, IncompleteRead
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chaos.proxy import LATENCY, Mode, StoreProxy
from tests.core.store.faults import running

BODY = bytes(range(256)) * 1024


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Tests say what they have to say themselves."""


class _Origin(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that break off are what is tested."""


@pytest.fixture(scope="module")
def origin() -> Iterator[int]:
    with running(_Origin(("127.0.0.1", 0), _Answer)) as server:
        yield server.server_port


@pytest.fixture
def proxy(origin: int) -> Iterator[StoreProxy]:
    with StoreProxy(origin) as proxy:
        yield proxy


def connected(proxy: StoreProxy, *, timeout: float = 5.0) -> HTTPConnection:
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=timeout)
    connection.connect()
    return connection


def fetch(connection: HTTPConnection) -> bytes:
    connection.request("GET", "/")
    return connection.getresponse().read()


def test_passes_what_is_asked_and_answered(proxy: StoreProxy) -> None:
    """One connection serves request after request, as the server's own would."""
    with closing(connected(proxy)) as connection:
        assert fetch(connection) == BODY
        assert fetch(connection) == BODY
        assert proxy.connections == 1


def test_reset_breaks_off_an_open_connection(proxy: StoreProxy) -> None:
    """Who waits on it for an answer gets ECONNRESET, at once."""
    with closing(connected(proxy)) as connection:
        assert fetch(connection) == BODY
        proxy.mode = "reset"
        with pytest.raises(ConnectionResetError):
            connection.sock.recv(1)


def test_reset_breaks_off_each_new_connection(proxy: StoreProxy) -> None:
    """Until it is over; then the same address serves again."""
    proxy.mode = "reset"
    for _ in range(3):
        with pytest.raises(ConnectionResetError), closing(connected(proxy)) as connection:
            connection.sock.recv(1)
    proxy.mode = "pass"
    with closing(connected(proxy)) as connection:
        assert fetch(connection) == BODY


def test_blackhole_answers_nothing_until_it_is_over(proxy: StoreProxy) -> None:
    """Open and new connections time out; who is still there then gets the answer late."""
    with closing(connected(proxy, timeout=0.3)) as open_before:
        assert fetch(open_before) == BODY
        proxy.mode = "blackhole"
        with closing(connected(proxy, timeout=0.3)) as new, closing(connected(proxy)) as patient:
            for connection in (open_before, new):
                with pytest.raises(TimeoutError):
                    fetch(connection)
            patient.request("GET", "/")
            proxy.mode = "pass"
            assert patient.getresponse().read() == BODY


def test_latency_holds_each_chunk_up(proxy: StoreProxy) -> None:
    """A question and its answer are late by two chunks at least, and whole."""
    with closing(connected(proxy)) as connection:
        proxy.mode = "latency"
        before = time.monotonic()
        assert fetch(connection) == BODY
        assert time.monotonic() - before >= 2 * LATENCY[0]


@pytest.mark.parametrize("keep", [0, 20, 5000])
def test_truncate_cuts_the_answer_short(proxy: StoreProxy, keep: int) -> None:
    """Open connections and new ones end after so many bytes, in the head or in the body."""
    proxy.keep = keep
    with closing(connected(proxy)) as open_before:
        assert fetch(open_before) == BODY
        proxy.mode = "truncate"
        with closing(connected(proxy)) as new:
            for connection in (open_before, new):
                connection.request("GET", "/")
                received = b""
                while chunk := connection.sock.recv(1 << 16):
                    received += chunk
                assert len(received) == keep


def test_a_client_notices_a_truncated_body(proxy: StoreProxy) -> None:
    """It is no whole answer that happens to be short."""
    proxy.keep = 5000
    proxy.mode = "truncate"
    with closing(connected(proxy)) as connection, pytest.raises(IncompleteRead):
        fetch(connection)


def test_pause_holds_each_chunk_up_in_every_mode(origin: int) -> None:
    """A question and its answer are late by two pauses at least."""
    with StoreProxy(origin, pause=0.1) as proxy, closing(connected(proxy)) as connection:
        before = time.monotonic()
        assert fetch(connection) == BODY
        assert time.monotonic() - before >= 0.2


def test_a_server_that_is_down_resets_its_callers() -> None:
    """As a connection to the server itself would be refused."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with (
        StoreProxy(port) as proxy,
        pytest.raises(ConnectionError),  # at the connect already, if the proxy is quick
        closing(connected(proxy)) as connection,
    ):
        fetch(connection)


def test_nothing_stays_open(proxy: StoreProxy) -> None:
    """Dozens of connections under changing modes leave none behind."""
    modes: list[Mode] = ["pass", "truncate", "blackhole", "reset", "pass", "latency", "pass"]

    def hammer(_: int) -> None:
        for _ in range(20):
            try:
                with closing(connected(proxy, timeout=0.2)) as connection:
                    fetch(connection)
            except (OSError, HTTPException):
                pass

    with ThreadPoolExecutor(24) as pool:
        done = pool.map(hammer, range(24))
        for mode in modes:
            proxy.mode = mode
            time.sleep(0.1)
        list(done)
    deadline = time.monotonic() + 5
    while proxy.connections and time.monotonic() < deadline:
        time.sleep(0.05)
    assert proxy.connections == 0
