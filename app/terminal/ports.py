"""Where a gate of this machine listens."""

import os
import socket
from typing import Annotated

import typer

from core.errors import GateError

Host = Annotated[str, typer.Option(help="address to listen on")]
Port = Annotated[int, typer.Option(help="port to listen on", min=1, max=65535)]


class PortUnavailable(GateError):
    """The machine does not let it be listened on, as where something else does."""

    code = "port_unavailable"


def check_port(host: str, port: int) -> None:
    """Raises `PortUnavailable`: what listens there would be taken for the gate that is started."""
    try:
        for family, *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            socket.create_server(address[:2], family=family).close()
    except OSError as error:
        number = error.errno or 0
        why = os.strerror(number) if number > 0 else error.strerror
        raise PortUnavailable(
            f"{host}:{port} cannot be listened on ({why}): stop what listens there, or give another"
            " --host or --port"
        ) from error
