"""Connections that go nowhere but where they may: a name is resolved, its addresses are judged, and
the very address that was judged is connected to, all in one step.

A check before the request is worth nothing: the name may answer otherwise the next time.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final

from httpcore2 import SOCKET_OPTION, ConnectError, ConnectTimeout, NetworkBackend, NetworkStream

from core.errors import GateError
from core.webhooks.addresses import is_public, read_address

MOST_ADDRESSES: Final = 4  # tried one after the other

Resolve = Callable[[str, int], list[str]]
"""The addresses of a name, as text. Raises `OSError`."""


class NotSent(GateError):
    """The attempt ended before a byte was sent; `code` says why."""

    code = "connect_failed"


def resolve(host: str, port: int) -> list[str]:
    """What the system says; it may take as long as it likes."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Deadline:
    """A moment that everything of one attempt must have happened by."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds. Raises `ConnectTimeout` if there are none, which ends the attempt."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise ConnectTimeout("the time for this attempt is over")
        return left


class PinnedBackend(NetworkBackend):
    """For one attempt. `anywhere`: the operator's list has the origin, so that its addresses may be
    private; they are resolved once all the same."""

    def __init__(
        self, deadline: Deadline, *, anywhere: bool, resolve: Resolve, network: NetworkBackend
    ) -> None:
        self._deadline = deadline
        self._anywhere = anywhere
        self._resolve = resolve
        self._network = network

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  (the deadline's is shorter)
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> NetworkStream:
        """Raises `NotSent`, or what the network does."""
        failure: Exception | None = None
        for address in self._judged(host, port)[:MOST_ADDRESSES]:
            try:
                stream = self._network.connect_tcp(
                    address, port, self._deadline.left(), local_address, socket_options
                )
            except (ConnectError, ConnectTimeout) as error:
                failure = error
            else:
                return TimedStream(stream, self._deadline)
        raise failure or NotSent("the name has no address", code="name_not_resolved")

    def _judged(self, host: str, port: int) -> list[str]:
        """All addresses of the name; one that may not be connected to spoils the others."""
        answers = [host] if read_address(host) is not None else self._answers(host, port)
        for answer in answers:
            address = read_address(answer)
            if address is None or not (self._anywhere or is_public(address)):
                raise NotSent(
                    "the name leads to an address that is not on the public internet",
                    code="address_not_allowed",
                )
        return answers

    def _answers(self, host: str, port: int) -> list[str]:
        """In a thread of its own, for the system's resolver keeps to no deadline."""
        said: SimpleQueue[list[str] | OSError] = SimpleQueue()

        def ask() -> None:
            try:
                said.put(self._resolve(host, port))
            except OSError as error:
                said.put(error)

        Thread(target=ask, daemon=True).start()
        try:
            answer = said.get(timeout=self._deadline.left())
        except Empty:
            raise ConnectTimeout("the name was not resolved in time") from None
        if isinstance(answer, OSError):
            raise NotSent("the name was not resolved", code="name_not_resolved") from answer
        return answer


class TimedStream(NetworkStream):
    """A connection whose every step must fit into what is left of the attempt's time: a receiver
    that sends a byte now and then does not hold it for longer."""

    def __init__(self, stream: NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> NetworkStream:
        """Raises `NotSent` where there is no TLS, or none that is to be trusted for this host."""
        try:
            secure = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left())
        except ConnectError as error:
            raise NotSent("no TLS that is to be trusted", code="tls_failed") from error
        return TimedStream(secure, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
