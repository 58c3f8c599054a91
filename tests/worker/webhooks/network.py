"""A network that goes nowhere, and names that mean what a test says: no test leaves loopback."""

import socket
from collections.abc import Iterable

from httpcore2 import SOCKET_OPTION, ConnectError, NetworkBackend, NetworkStream


class NoNetwork(NetworkBackend):
    """Keeps which addresses were to be connected to, and connects to none."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> NetworkStream:
        self.asked.append(f"{host} {port}")
        raise ConnectError("there is no network here")


class Names:
    """A resolver: the answers of one name, one after the other, the last for ever. A name without
    answers is read as the C library would: an address in whatever form, or unknown."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        if not self._answers:
            found = socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
            return [str(entry[4][0]) for entry in found]
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
