"""Members of a tar, read forward only.

A reader of our own, because the one in Python seeks backwards in compressed files, holds headers
of any size in memory and takes a damaged header for the end of the archive. The format: POSIX.1
pax and ustar, and GNU's long names.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from core.archives.members import MAX_MEMBERS, Member, refusal, shown, too_many_members, unreadable
from core.archives.streams import Metered
from core.errors import Unprocessable

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_MAX_EXTENSION = 8192
_OCTAL = re.compile(rb" *([0-7]*)[ \0]*")
_FILE, _OLD_FILE, _LINK, _SYMLINK, _FOLDER = b"0", b"\0", b"1", b"2", b"5"
_PAX, _PAX_GLOBAL, _GNU_LONG_NAME, _GNU_LONG_LINK = b"x", b"g", b"L", b"K"
_EXTENSIONS = (_PAX, _PAX_GLOBAL, _GNU_LONG_NAME, _GNU_LONG_LINK)


@dataclass(frozen=True)
class _Header:
    name: str
    size: int
    kind: bytes


def tar_members(stream: Metered) -> Iterator[Member]:
    """Files and folders in their order; anything else raises `Unprocessable`."""
    overrides: dict[str, str] = {}
    headers = members = 0
    while (block := stream.exactly(_BLOCK)) != _ZEROS:
        header = _parse(block)
        headers += 1
        if headers > 4 * MAX_MEMBERS:
            raise too_many_members()
        if header.kind in _EXTENSIONS:
            overrides = _joined(overrides, _extension(header, stream).items())
            continue
        members += 1
        if members > MAX_MEMBERS:
            raise too_many_members()
        yield from _member(_overridden(header, overrides), stream)
        overrides = {}
    _check_end(stream)


def _member(header: _Header, stream: Metered) -> Iterator[Member]:
    """One member; what its reader leaves of its bytes is read over."""
    _check_kind(header)
    remaining = stream.chunks(header.size)
    yield Member(header.name, header.size, header.kind == _FOLDER, lambda: remaining)
    for _ in remaining:
        pass
    stream.exactly(_padding(header.size))


def _parse(block: bytes) -> _Header:
    checksum = sum(block[:148]) + 8 * ord(" ") + sum(block[156:])
    if block[257:262] != b"ustar" or _number(block[148:156]) != checksum:
        raise unreadable("a header of it is damaged")
    name = _text(block[:100])
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    kind = block[156:157]
    return _Header(f"{prefix}/{name}" if prefix else name, _number(block[124:136]), kind)


def _number(field: bytes) -> int:
    """Octal digits, or GNU's binary form for what does not fit them."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = _OCTAL.fullmatch(field)  # int() takes a sign and underscores too
    if digits is None:
        raise unreadable("a number in a header of it is damaged")
    return int(digits[1] or b"0", 8)


def _text(field: bytes) -> str:
    try:
        return field.split(b"\0", 1)[0].decode()
    except UnicodeDecodeError as error:
        raise refusal(
            "archive_unsafe_path",
            f"the member name {field[:60]!r} is not UTF-8: pack the files with plain names",
        ) from error


def _extension(header: _Header, stream: Metered) -> dict[str, str]:
    """What an extension header says about the member after it."""
    if header.size > _MAX_EXTENSION:
        raise unreadable(f"an extension header of it takes {header.size} bytes")
    data = stream.exactly(header.size)
    stream.exactly(_padding(header.size))
    if header.kind == _GNU_LONG_NAME:
        return {"path": _text(data)}
    if header.kind == _GNU_LONG_LINK:
        return {}
    records = list(_pax_records(data))
    if any(key.startswith("GNU.sparse.") for key, _ in records):
        raise _special("a sparse file")
    wanted = _joined({}, ((key, value) for key, value in records if key in ("path", "size")))
    if wanted and header.kind == _PAX_GLOBAL:
        raise unreadable("a global header of it renames its members")
    return wanted


def _joined(overrides: dict[str, str], more: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Where something is said twice of one member, one reader takes the first, another the last."""
    joined = dict(overrides)
    for key, value in more:
        if key in joined:
            raise unreadable(f"headers of it give one member a {key} twice")
        joined[key] = value
    return joined


def _pax_records(data: bytes) -> Iterator[tuple[str, str]]:
    """`<length> <key>=<value>\\n`, the length counting the whole record."""
    while data:
        digits, _, _ = data[:8].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        record = data[len(digits) + 1 : length]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n") or length > len(data):
            raise unreadable("an extension header of it is damaged")
        if b"\0" in value:
            raise unreadable("an extension header of it holds a NUL")
        if key in (b"path", b"size"):
            yield _text(key), _text(value[:-1])
        else:
            yield key.decode(errors="replace"), ""
        data = data[length:]


def _overridden(header: _Header, overrides: dict[str, str]) -> _Header:
    size = overrides.get("size", "")
    if size and not (size.isascii() and size.isdigit() and len(size) < 20):
        raise unreadable("an extension header of it gives no size")
    name = overrides.get("path", header.name)
    return _Header(name, int(size) if size else header.size, header.kind)


def _check_kind(header: _Header) -> None:
    if header.kind in (_LINK, _SYMLINK):
        raise refusal(
            "archive_link",
            f"{shown(header.name)} is a link: pack the file itself (tar --dereference)",
            header.name,
        )
    if header.kind not in (_FILE, _OLD_FILE, _FOLDER):
        raise _special(shown(header.name), header.name)
    if header.kind == _FOLDER and header.size:
        raise unreadable(f"the folder {shown(header.name)} claims to hold bytes")


def _special(what: str, member: str = "") -> Unprocessable:
    return refusal(
        "archive_special_file",
        f"{what} is no regular file: pack the adapter's files only",
        member,
    )


def _padding(size: int) -> int:
    return -size % _BLOCK


def _check_end(stream: Metered) -> None:
    """Past the end marker only zeros: anything else would be an archive that some readers see."""
    while data := stream.read(1 << 20):
        if data.count(0) != len(data):
            raise unreadable("there is something behind its end")
