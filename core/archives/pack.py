"""The sanitized adapter as one .zip: the same bytes every time it is packed."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from core.archives.members import CHUNK

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_EPOCH = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o100644 << 16
_UNIX = 3


@dataclass(frozen=True)
class Packed:
    """One file to pack; its stream is closed once it is read."""

    name: str
    size: int
    stream: BinaryIO


class _Sink(io.RawIOBase):
    """What `zipfile` writes to: kept only until it is taken, and never sought."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: "ReadableBuffer", /) -> int:
        self._held += data
        return memoryview(data).nbytes

    def take(self) -> bytes:
        data = bytes(self._held)
        self._held.clear()
        return data


def zip_chunks(files: Iterable[Packed]) -> Iterator[bytes]:
    """The archive in pieces of about 1 MiB. Uncompressed: weights hardly compress."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.name, _EPOCH)
            entry.create_system = _UNIX
            entry.external_attr = _READABLE
            entry.file_size = file.size
            with file.stream, archive.open(entry, "w") as packed:
                while chunk := file.stream.read(CHUNK):
                    packed.write(chunk)
                    yield sink.take()
    yield sink.take()
