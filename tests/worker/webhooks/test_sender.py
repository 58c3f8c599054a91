"""One attempt over a real connection: what comes of it is told by code, in bounded time."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import pytest

from core.settings import WebhookSettings
from tests.worker.webhooks.certificates import Authority
from tests.worker.webhooks.network import Names
from tests.worker.webhooks.receiver import Receiver, receiving
from worker.webhooks.sender import Outcome, Sender


def send(receiver: Receiver, **settings: object) -> Outcome:
    allowed = WebhookSettings.model_validate({"allow": [receiver.origin], **settings})
    return Sender(allowed).send(receiver.url, {"webhook-id": "msg_1"}, b'{"a": 1}')


def test_a_receiver_gets_the_body_and_the_headers() -> None:
    """As JSON, and with nothing else of ours: no cookie, no credentials."""
    with receiving() as receiver:
        outcome = send(receiver)
        assert (outcome.status, outcome.error) == (200, None)
        assert 0 <= outcome.seconds < 15
        (sent,) = receiver.got
        assert sent.body == b'{"a": 1}'
        assert sent.headers.pop("user-agent").startswith("safelora-gate/")
        assert sent.headers == {
            "host": f"127.0.0.1:{receiver.port}",
            "content-type": "application/json",
            "content-length": "8",
            "connection": "close",
            "webhook-id": "msg_1",
        }


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    """As Standard Webhooks has it."""
    with receiving(status) as receiver:
        assert send(receiver).error is None


@pytest.mark.parametrize(
    ("status", "error"), [(400, "status"), (404, "status"), (500, "status"), (410, "gone")]
)
def test_what_is_no_2xx_is_not(status: int, error: str) -> None:
    """The status is kept, the receiver's words are not."""
    with receiving(status) as receiver:
        assert send(receiver).error == error


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("9" * 500, 9999999999.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("Fri, 28 Feb 2025 12:00:00 GMT", 0.0),
        ("Mon, 99 Xyz 2026 99:99:99 GMT", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 99999999999999999999 Jan 2026 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999999999", None),
    ],
)
def test_retry_after_is_read(told: str, seconds: float | None) -> None:
    """A number or a date; nonsense is passed over."""
    with receiving((503, {"Retry-After": told})) as receiver:
        assert send(receiver).retry_after == seconds


def test_a_date_to_come_is_so_many_seconds_away() -> None:
    """By our clock."""
    told = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    with receiving((503, {"Retry-After": told})) as receiver:
        seconds = send(receiver).retry_after
        assert seconds is not None
        assert 3000 < seconds <= 3600


def test_nobody_there_is_told_apart() -> None:
    """A port that nobody listens on, a name that nobody has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = Receiver(taken.getsockname()[1])
        assert send(dead).error == "connect_failed"

    def unknown(*_: object) -> list[str]:
        raise socket.gaierror("no such name")

    sender = Sender(WebhookSettings(), resolve=unknown)
    assert sender.send("https://hooks.example/", {}, b"{}").error == "name_not_resolved"
    sender = Sender(WebhookSettings(), resolve=Names([]))
    assert sender.send("https://hooks.example/", {}, b"{}").error == "name_not_resolved"


def test_a_resolver_that_hangs_is_not_waited_for() -> None:
    """The system's own keeps to no deadline."""
    over = Event()

    def hanging(*_: object) -> list[str]:
        over.wait(30)
        return []

    sender = Sender(WebhookSettings(timeout=0.2), resolve=hanging)
    start = monotonic()
    assert sender.send("https://hooks.example/", {}, b"{}").error == "timeout"
    assert monotonic() - start < 10
    over.set()


Talk = Callable[[socket.socket, Event], None]


@contextmanager
def raw(talk: Talk) -> Iterator[Receiver]:
    """A server that says whatever it likes, until the event is set."""
    over = Event()

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                talk(connection, over)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield Receiver(listener.getsockname()[1])
        over.set()
        thread.join(30)


def drip(start: bytes, piece: bytes) -> Talk:
    def talk(connection: socket.socket, over: Event) -> None:
        connection.sendall(start)
        while not over.wait(0.02):
            connection.sendall(piece)

    return talk


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_receiver_that_drips_is_not_waited_for(start: bytes, piece: bytes) -> None:
    """The time is for all of it, not for each byte."""
    with raw(drip(start, piece)) as receiver:
        outcome = send(receiver, timeout=0.5)
        assert outcome.error == "timeout"
        assert outcome.seconds < 10


def test_an_endless_answer_is_not_read() -> None:
    """Its status is all we ask of it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
    with raw(drip(head, b"x" * 65536)) as receiver:
        assert send(receiver).error is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "protocol_error"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 200_000, "protocol_error"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "protocol_error"),
        (b"", "protocol_error"),
    ],
)
def test_what_is_no_http_is_told_apart(answer: bytes, error: str) -> None:
    """And nothing of what it said is kept."""
    with raw(lambda connection, _: connection.sendall(answer)) as receiver:
        outcome = send(receiver)
        assert outcome.error in (error, "connection_lost")
        assert outcome.status is None


def test_tls_is_verified(tmp_path: Path) -> None:
    """The certificate must be of an authority that is trusted, and of the host that was meant."""
    authority = Authority(tmp_path)
    with receiving(tls=authority.server("localhost")) as receiver:
        assert send(receiver).error == "tls_failed"
        assert send(receiver, ca_file=authority.certificate).error is None
        assert len(receiver.got) == 1
    with receiving(tls=authority.server("other.example")) as receiver:
        assert send(receiver, ca_file=authority.certificate).error == "tls_failed"
        assert receiver.got == []


def test_a_receiver_without_tls_where_it_should_have_it_fails() -> None:
    """Nothing is sent in the clear instead."""
    with receiving() as receiver:
        receiver.scheme = "https"
        assert send(receiver, timeout=2).error == "tls_failed"
        assert receiver.got == []
