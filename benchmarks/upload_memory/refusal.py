"""How much of a body that never ends leaves its sender before a wrong header is refused."""

import contextlib
import socket
import struct
from collections.abc import Mapping
from typing import Final

_WRONG: Final[Mapping[str, bytes]] = {
    "a length out of bounds": struct.pack("<Q", 2**50) + b"{",
    "a header that is no JSON": struct.pack("<Q", 64) + b'{"a": ' + b"?" * 58,
    "a pickle": b"\x80\x04\x95" + bytes(64),
    "a .bin (zip)": b"PK\x03\x04" + bytes(22) + b"\x10\0\0\0" + b"archive/data.pkl",
}
_BUFFER: Final = 1 << 14  # what the kernel may hold on either side counts as sent


def read_before_refusal(port: int) -> dict[str, int]:
    """Bytes by what is wrong; those that wait in the sockets' buffers are counted too."""
    return {what: _sent(port, start) for what, start in _WRONG.items()}


def _sent(port: int, start: bytes) -> int:
    head = (
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="adapter"\r\n\r\n'
    )
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", port))
        connection.sendall(head + start)
        sent = len(head) + len(start)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:
                sent += connection.send(bytes(4096))
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
    if not answer.startswith(b"HTTP/1.1 422 "):
        raise SystemExit(f"not refused: {answer[:200]!r}")
    return sent
