"""An adapter of any size whose bytes are made as they are asked for."""

import json
import struct
from collections.abc import Iterator
from typing import Final

from tests.app.gate import CONFIG as CONFIG

_PIECE: Final = 1 << 18


class Adapter:
    """A safetensors file of one tensor with `body` bytes, an even number."""

    def __init__(self, body: int) -> None:
        entry = {"dtype": "F16", "shape": [body // 2], "data_offsets": [0, body]}
        header = json.dumps({"a.lora_A.weight": entry}).encode()
        self._head = struct.pack("<Q", len(header)) + header
        self.size = len(self._head) + body

    def pieces(self, start: int, length: int) -> Iterator[bytes]:
        """`length` bytes of it from `start` on."""
        end = start + length
        if start < len(self._head):
            yield self._head[start:end]
            start = min(end, len(self._head))
        zeros = bytes(_PIECE)
        while start < end:
            yield zeros[: end - start]
            start += min(_PIECE, end - start)


def form(adapter: Adapter, boundary: str) -> Iterator[bytes]:
    """The multipart body of an upload."""
    yield _part("config", boundary) + CONFIG + b"\r\n" + _part("adapter", boundary)
    yield from adapter.pieces(0, adapter.size)
    yield _end(boundary)


def form_size(adapter: Adapter, boundary: str) -> int:
    parts = _part("config", boundary) + CONFIG + b"\r\n" + _part("adapter", boundary)
    return len(parts) + adapter.size + len(_end(boundary))


def _part(name: str, boundary: str) -> bytes:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()


def _end(boundary: str) -> bytes:
    return f"\r\n--{boundary}--\r\n".encode()
