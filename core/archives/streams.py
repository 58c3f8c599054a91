"""What an archive is, by its first bytes, and a tar's bytes behind their compression.

A new compression is one more kind here: its first bytes in `recognise`, its reader in `_opened`.
"""

from collections.abc import Iterator
from typing import BinaryIO, Literal, Protocol

from core.archives import gz, zst
from core.archives.members import CHUNK, MAX_MEMBERS, bomb, refusal, unreadable

TarKind = Literal["tar", "tar.gz", "tar.zst"]
Kind = Literal["zip"] | TarKind

_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_TAR_MAGIC_OFFSET = 257
_TAR_OVERHEAD = MAX_MEMBERS * 16384 + 65536  # headers, padding, and the end marker


def recognise(file: BinaryIO) -> Kind:
    """The kind of archive; leaves the file at its beginning. Raises `Unprocessable`."""
    head = file.read(512)
    file.seek(0)
    if head.startswith(_ZIP_MAGIC):
        return "zip"
    if head.startswith(gz.MAGIC):
        return "tar.gz"
    if head.startswith(zst.MAGIC):
        return "tar.zst"
    if head.startswith(b"ustar", _TAR_MAGIC_OFFSET):
        return "tar"
    raise refusal(
        "archive_format_unsupported",
        "the archive is no .zip, .tar, .tar.gz or .tar.zst: pack it as one of these, or send the"
        " two files as the parts adapter and config",
    )


class _Raw(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Metered:
    """A tar's bytes, forward only, counted: no archive yields more than its cap."""

    def __init__(self, raw: _Raw, max_bytes: int) -> None:
        self._raw = raw
        self._max = max_bytes
        self._total = 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end. Raises `Unprocessable`."""
        data = self._raw.read(size)
        self._total += len(data)
        if self._total > self._max + _TAR_OVERHEAD:
            raise bomb(self._max)
        return data

    def exactly(self, size: int) -> bytes:
        data = self.read(size)
        if len(data) < size:
            raise unreadable("it ends before its last member does")
        return data

    def chunks(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes."""
        while size:
            data = self.exactly(min(size, CHUNK))
            size -= len(data)
            yield data


def metered(file: BinaryIO, kind: TarKind, max_bytes: int) -> Metered:
    return Metered(_opened(file, kind), max_bytes)


def _opened(file: BinaryIO, kind: TarKind) -> _Raw:
    if kind == "tar.gz":
        return gz.GzipStream(file)
    if kind == "tar.zst":
        return zst.ZstdStream(file)
    return file
