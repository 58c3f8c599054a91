"""A multipart body that is read from disk as it is sent, and from its beginning each time."""

import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import anyio.to_thread
import httpx2

from safelora.errors import UsageError

_CHUNK: Final = 2**20


@dataclass(frozen=True)
class FilePart:
    """A file as it was when the request was made."""

    path: Path
    size: int


Piece = bytes | FilePart


@dataclass(frozen=True)
class Multipart(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """Never more than a mebibyte of a file lies in memory."""

    pieces: tuple[Piece, ...]
    boundary: str

    @property
    def size(self) -> int:
        return sum(p.size if isinstance(p, FilePart) else len(p) for p in self.pieces)

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": f"multipart/form-data; boundary={self.boundary}",
            "Content-Length": str(self.size),
        }

    def __iter__(self) -> Iterator[bytes]:
        """Raises `UsageError` (`file_changed`) or `OSError`."""
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            left = piece.size
            with piece.path.open("rb") as file:
                while chunk := _next(file, piece, left):
                    left -= len(chunk)
                    yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """As `__iter__`, reading in a thread."""
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            left = piece.size
            file = await anyio.to_thread.run_sync(piece.path.open, "rb")
            with file:
                while chunk := await anyio.to_thread.run_sync(_next, file, piece, left):
                    left -= len(chunk)
                    yield chunk


def multipart(fields: Mapping[str, str], files: Mapping[str, Piece]) -> Multipart:
    """Texts first, so that the gate knows what is asked before the files come."""
    boundary = secrets.token_hex(16)
    pieces: list[Piece] = []
    for name, text in fields.items():
        pieces.append(_head(boundary, f'name="{name}"') + text.encode() + b"\r\n")
    for name, piece in files.items():
        head = _head(boundary, f'name="{name}"; filename="{name}"', "application/octet-stream")
        pieces += [head, piece, b"\r\n"]
    return Multipart((*pieces, f"--{boundary}--\r\n".encode()), boundary)


def _head(boundary: str, disposition: str, kind: str | None = None) -> bytes:
    lines = [f"--{boundary}", f"Content-Disposition: form-data; {disposition}"]
    if kind:
        lines.append(f"Content-Type: {kind}")
    return "\r\n".join([*lines, "", ""]).encode()


def _next(file: BinaryIO, piece: FilePart, left: int) -> bytes:
    """The next bytes, none at the end, which must be where it was."""
    chunk = file.read(min(_CHUNK, left) if left else 1)
    if bool(chunk) != bool(left):
        raise UsageError(f"{piece.path} changed while it was sent", code="file_changed")
    return chunk
