"""Members of a zip: Python's reader, held to sizes that fit an adapter."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO

from core.archives.members import (
    CHUNK,
    MAX_MEMBERS,
    Member,
    refusal,
    shown,
    too_many_members,
    unreadable,
)
from core.errors import Unprocessable

_ENCRYPTED = 0x1
_LOCAL_HEADER = struct.Struct("<6xHH16xHH")  # flags, method, lengths of name and extra field
_EXTRA_FIELD = struct.Struct("<HH")
_UNICODE_PATH = 0x7075
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    ValueError,
)


class _Capped(io.BufferedReader):
    """Never reads more than a chunk at once: Python takes a zip's directory in one piece.

    Without a size Python asks for the end of the file only, 64 KiB of it. It also believes the
    offsets it finds, and so seeks to before the beginning.
    """

    def seek(self, target: int, whence: int = 0, /) -> int:
        if whence == 0 and target < 0:
            raise zipfile.BadZipFile("a member begins before the archive does")
        return super().seek(target, whence)

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > CHUNK:
            raise too_many_members()
        return super().read(CHUNK if size is None or size < 0 else size)


@contextmanager
def zip_members(file: BinaryIO) -> Iterator[Iterator[Member]]:
    """Raises `Unprocessable` for a directory that is damaged or too long."""
    with _Capped(io.FileIO(file.fileno(), closefd=False)) as capped:
        try:
            archive = zipfile.ZipFile(capped)
        except _DAMAGE as error:
            raise _damaged(error) from error
        with archive:
            yield _members(archive, capped)


def _members(archive: zipfile.ZipFile, file: BinaryIO) -> Iterator[Member]:
    entries = archive.infolist()
    if len(entries) > MAX_MEMBERS:
        raise too_many_members()
    if entries and min(entry.header_offset for entry in entries) != 0:
        raise unreadable("its first member does not begin where the archive does")
    for entry in entries:
        name = entry.orig_filename  # `filename` ends at a NUL
        _check(entry, name)
        _check_local_header(entry, file)
        yield Member(name, entry.file_size, name.endswith("/"), partial(_chunks, archive, entry))


def _check(entry: zipfile.ZipInfo, name: str) -> None:
    if entry.flag_bits & _ENCRYPTED:
        raise refusal(
            "archive_encrypted", f"{shown(name)} is encrypted: pack it without a password", name
        )
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise refusal("archive_link", f"{shown(name)} is a link: pack the file itself", name)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise refusal(
            "archive_special_file",
            f"{shown(name)} is no regular file: pack the adapter's files only",
            name,
        )
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise refusal(
            "archive_format_unsupported",
            f"{shown(name)} is compressed in a way that not every reader knows: pack it with"
            " deflate or uncompressed",
            name,
        )


def _check_local_header(entry: zipfile.ZipInfo, file: BinaryIO) -> None:
    """Readers of the stream go by it, others by the directory: both must say the same."""
    file.seek(entry.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size:
        raise unreadable("a member of it begins behind its end")
    flags, method, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    extra = file.read(name_length + extra_length)[name_length:]
    if (flags & _ENCRYPTED, method) != (0, entry.compress_type):
        raise unreadable(f"its two headers of {shown(entry.orig_filename)} differ")
    if _has_second_name(entry.extra) or _has_second_name(extra):
        raise unreadable(f"{shown(entry.orig_filename)} has another name beside this one")


def _has_second_name(extra: bytes) -> bool:
    """The Unicode path of APPNOTE 4.6.9: some readers go by it, others by the plain name."""
    while len(extra) >= _EXTRA_FIELD.size:
        kind, length = _EXTRA_FIELD.unpack_from(extra)
        if kind == _UNICODE_PATH:
            return True
        extra = extra[_EXTRA_FIELD.size + length :]
    return False


def _chunks(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with archive.open(entry) as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except _DAMAGE as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> Unprocessable:
    return unreadable(str(error).rstrip(".") or type(error).__name__)
