"""What an archive is, by its first bytes, and a tar's bytes behind their compression.

A new compression is one more kind here: its first bytes in `recognise`, its reader in `_opened`.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Literal, Protocol

from core.archives import zst
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
    if head.startswith(b"\x1f\x8b"):
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
        try:
            data = self._raw.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise unreadable(f"its compression is damaged ({error})") from error
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


@contextmanager
def metered(file: BinaryIO, kind: TarKind, max_bytes: int) -> Iterator[Metered]:
    with _opened(file, kind) as raw:
        yield Metered(raw, max_bytes)


@contextmanager
def _opened(file: BinaryIO, kind: TarKind) -> Iterator[_Raw]:
    if kind == "tar":
        yield file
    elif kind == "tar.zst":
        yield zst.ZstdStream(file)
    else:
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield unpacked
