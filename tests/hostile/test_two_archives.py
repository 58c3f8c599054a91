"""Archives that two readers unpack differently: refused, or read as Python's own reader does."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from core.archives import unpack
from tests.archives import (
    CAP,
    CONFIG,
    MODEL,
    pack_tar,
    pack_tar_gz,
    pack_zip,
    refused,
)

BLOCK = 512
END = bytes(2 * BLOCK)
GOOD, EVIL = b"good", b"evil"


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type, entry.size = kind, len(data)
    return entry.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % BLOCK)


def pax(**records: str) -> bytes:
    """A header that overrides what is said of the next member."""
    data = b""
    for key, value in records.items():
        rest = f" {key}={value}\n".encode()
        length = len(rest) + len(str(len(rest) + 2))
        data += str(length).encode() + rest
    return member("pax", data, tarfile.XHDTYPE)


def gnu(name: str) -> bytes:
    """GNU's way to give the next member a long name."""
    return member("././@LongLink", name.encode() + b"\0", tarfile.GNUTYPE_LONGNAME)


def with_size(data: bytes, size: bytes) -> bytes:
    """A member whose header gives its size in these characters, the checksum made right."""
    header = bytearray(data)
    header[124:136] = size.ljust(12, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:BLOCK])
    return bytes(header)


def by_tarfile(data: bytes) -> dict[str, bytes]:
    """What Python's own reader extracts: the last of each name."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


def by_zipfile(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def by_us(data: bytes, folder: Path) -> dict[str, bytes]:
    (folder / "upload").write_bytes(data)
    (folder / "inside").mkdir()
    unpacked = unpack(folder / "upload", folder / "inside", max_bytes=CAP)
    return {name: file.path.read_bytes() for name, file in unpacked.files.items()}


def test_name_in_a_pax_header_is_the_members_name(tmp_path: Path) -> None:
    """A scanner of plain headers sees `notes.txt`; Python's reader and ours see the adapter."""
    data = pax(path=MODEL) + member("notes.txt", EVIL) + END
    assert data[2 * BLOCK :].startswith(b"notes.txt")
    assert by_tarfile(data) == by_us(data, tmp_path) == {MODEL: EVIL}


def test_size_in_a_pax_header_is_the_members_size(tmp_path: Path) -> None:
    """By the plain header the adapter holds a second archive; by the pax header that is the next
    member, and it takes the adapter's name again."""
    hidden = member(MODEL, EVIL)
    data = pax(size="0") + member(MODEL, hidden) + END
    assert by_tarfile(data) == {MODEL: EVIL}
    assert refused(tmp_path, data).code == "archive_duplicate"


NAMED_TWICE = {
    "two pax headers": pax(path="notes.txt") + pax(path=MODEL),
    "two GNU names": gnu("notes.txt") + gnu(MODEL),
    "GNU's name, then pax": gnu("notes.txt") + pax(path=MODEL),
    "pax, then GNU's name": pax(path="notes.txt") + gnu(MODEL),
}


@pytest.mark.parametrize("names", NAMED_TWICE.values(), ids=NAMED_TWICE)
def test_member_that_is_named_twice_is_refused(names: bytes, tmp_path: Path) -> None:
    """Python's reader takes the first of two names that extension headers give, GNU tar mostly the
    last: one sees an adapter where the other sees notes."""
    data = names + member("x", EVIL) + END
    assert by_tarfile(data) == {"notes.txt": EVIL}
    assert refused(tmp_path, data).code == "archive_unreadable"


@pytest.mark.parametrize("size", [b"+10", b"1_0", b"0o10"])
def test_size_that_only_python_reads_is_refused(size: bytes, tmp_path: Path) -> None:
    """Its int() takes signs, underscores and prefixes: eight bytes to Python, an error to tar."""
    data = with_size(member(MODEL), size) + EVIL * 2 + bytes(BLOCK - 8) + END
    assert by_tarfile(data) == {MODEL: EVIL * 2}
    assert refused(tmp_path, data).code == "archive_unreadable"


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_header_of_a_size_below_zero_is_refused(kind: bytes, tmp_path: Path) -> None:
    """-1 would ask for all that is left, in one piece, before anything is counted."""
    data = with_size(member(MODEL, kind=kind), b"-1") + bytes(8 * BLOCK) + END
    assert refused(tmp_path, gzip.compress(data)).code == "archive_unreadable"


@pytest.mark.parametrize("pack", [pack_tar, pack_tar_gz, pack_zip])
def test_names_that_lead_to_one_file_are_refused(
    pack: Callable[[dict[str, bytes]], bytes], tmp_path: Path
) -> None:
    """`x` and `./x` are two members and one file: which is left depends on who unpacks last."""
    data = pack({MODEL: GOOD, f"./{MODEL}": EVIL})
    read = by_zipfile(data) if pack is pack_zip else by_tarfile(gunzipped(data))
    assert read == {MODEL: GOOD, f"./{MODEL}": EVIL}
    assert refused(tmp_path, data).code == "archive_duplicate"


def gunzipped(data: bytes) -> bytes:
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def test_second_tar_behind_the_first_is_refused(tmp_path: Path) -> None:
    """Python's reader stops at the first end marker, or goes on where it is told to."""
    data = pack_tar({MODEL: GOOD}) + pack_tar({MODEL: EVIL})
    assert by_tarfile(data) == {MODEL: GOOD}
    with tarfile.open(fileobj=io.BytesIO(data), ignore_zeros=True) as archive:
        assert [m.name for m in archive] == [MODEL, MODEL]
    assert refused(tmp_path, data).code == "archive_unreadable"


def test_second_gzip_stream_behind_the_end_is_refused(tmp_path: Path) -> None:
    """Two streams are one to gzip: a tar in the second is behind the first one's end."""
    data = pack_tar_gz({MODEL: GOOD}) + pack_tar_gz({MODEL: EVIL})
    assert len(gzip.decompress(data)) == 2 * len(pack_tar({MODEL: GOOD}))
    assert refused(tmp_path, data).code == "archive_unreadable"


def test_zip_whose_two_names_of_a_member_differ_is_refused(tmp_path: Path) -> None:
    """A reader of the stream sees the local name, a reader of the directory the other."""
    data = bytearray(pack_zip({MODEL: EVIL}))
    data[data.index(MODEL.encode())] ^= 1
    with pytest.raises(zipfile.BadZipFile, match="differ"):
        by_zipfile(bytes(data))
    assert refused(tmp_path, bytes(data)).code == "archive_unreadable"


def test_zip_member_that_lies_in_another_one_is_refused(tmp_path: Path) -> None:
    """The directory sends two names to one place."""
    data = bytearray(pack_zip({CONFIG: EVIL, MODEL: GOOD}))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 42 : directory + 46] = bytes(4)
    with pytest.raises(zipfile.BadZipFile, match="differ"):
        by_zipfile(bytes(data))
    assert refused(tmp_path, bytes(data)).code == "archive_unreadable"


def unicode_path(name: str, shown: str) -> bytes:
    """Info-ZIP's extra field that gives a member a second name (APPNOTE 4.6.9)."""
    data = struct.pack("<BL", 1, zlib.crc32(name.encode())) + shown.encode()
    return struct.pack("<HH", 0x7075, len(data)) + data


@pytest.mark.parametrize(("name", "shown"), [(MODEL, "README.md"), ("README.md", MODEL)])
def test_zip_member_with_a_second_name_is_refused(name: str, shown: str, tmp_path: Path) -> None:
    """unzip, and Python from 3.13 on, go by the Unicode path; older readers by the plain name."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.extra = unicode_path(name, shown)
        archive.writestr(entry, EVIL)
    assert refused(tmp_path, sink.getvalue()).code == "archive_unreadable"


def test_zip_in_front_of_a_zip_is_refused(tmp_path: Path) -> None:
    """A reader of the stream meets the first archive; the directory at the end is the second's."""
    data = pack_zip({MODEL: EVIL}) + pack_zip({MODEL: GOOD})
    assert by_zipfile(data) == {MODEL: GOOD}
    assert refused(tmp_path, data).code == "archive_unreadable"


@pytest.mark.parametrize(("offset", "value"), [(8, 0), (6, 1)])
def test_zip_headers_that_differ_are_refused(offset: int, value: int, tmp_path: Path) -> None:
    """The member's own header says stored, or encrypted, and the directory does not: unzip and
    Python unpack other bytes."""
    data = bytearray(pack_zip({MODEL: GOOD * 100}, zipfile.ZIP_DEFLATED))
    data[offset] = value
    assert refused(tmp_path, bytes(data)).code == "archive_unreadable"


@pytest.mark.parametrize("second", ["ADAPTER_MODEL.SAFETENSORS", "adapter_model.safetensor\u017f"])
def test_names_that_fold_to_one_are_refused(second: str, tmp_path: Path) -> None:
    """Python reads both; a disk that ignores case keeps one."""
    data = pack_tar({MODEL: GOOD, second: EVIL})
    assert len(by_tarfile(data)) == 2
    assert refused(tmp_path, data).code == "archive_duplicate"
