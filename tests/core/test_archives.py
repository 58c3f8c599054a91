"""Archives are opened with distrust. Each hostile one is built here, with what it tries."""

import bz2
import hashlib
import io
import random
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from core.archives import MAX_MEMBERS, SMALL, Unpacked, unpack
from core.archives.pack import Packed, zip_chunks
from tests.archives import (
    ADAPTER,
    CAP,
    CONFIG,
    MODEL,
    WEIGHTS,
    Packer,
    entry,
    pack_tar,
    pack_tar_gz,
    pack_tar_zst,
    pack_zip,
    packers,
    refused,
    tar_of,
)


@pytest.fixture
def open_archive(tmp_path: Path) -> Callable[[bytes], Unpacked]:
    def opened(data: bytes, max_bytes: int = CAP) -> Unpacked:
        archive = tmp_path / "upload"
        archive.write_bytes(data)
        folder = tmp_path / "inside"
        folder.mkdir()
        return unpack(archive, folder, max_bytes=max_bytes)

    return opened


@packers
def test_both_files_come_out_byte_for_byte(
    pack: Packer, open_archive: Callable[[bytes], Unpacked]
) -> None:
    """Whatever the format, the adapter's files are written as they were packed, and hashed."""
    unpacked = open_archive(pack(ADAPTER))
    assert {name: file.path.read_bytes() for name, file in unpacked.files.items()} == ADAPTER
    assert unpacked.files[MODEL].sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert unpacked.files[MODEL].size == len(WEIGHTS)
    assert unpacked.other_names == []


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_dialect_of_tar_is_read(form: int, open_archive: Callable[[bytes], Unpacked]) -> None:
    """ustar, GNU and pax, long names included."""
    long_folder = "f" * 90
    unpacked = open_archive(
        pack_tar({f"{long_folder}/{name}": data for name, data in ADAPTER.items()}, form)
    )
    assert unpacked.files.keys() == ADAPTER.keys()


@packers
def test_one_top_folder_is_looked_through(
    pack: Packer, open_archive: Callable[[bytes], Unpacked]
) -> None:
    """Packing the adapter's folder is as good as packing its files."""
    unpacked = open_archive(pack({f"my-adapter/{name}": ADAPTER[name] for name in ADAPTER}))
    assert unpacked.files.keys() == ADAPTER.keys()


def test_tar_of_the_current_folder_is_read(open_archive: Callable[[bytes], Unpacked]) -> None:
    """`tar c .` puts ./ in front of every name, and the folder itself first."""
    data = tar_of(entry("./", tarfile.DIRTYPE), entry(f"./{MODEL}", size=3), entry(f"./{CONFIG}"))
    assert open_archive(data).files.keys() == ADAPTER.keys()


@packers
def test_other_files_are_named_and_not_written(
    pack: Packer, open_archive: Callable[[bytes], Unpacked], tmp_path: Path
) -> None:
    """What else was packed reaches the gate by name only."""
    unpacked = open_archive(pack({**ADAPTER, "README.md": b"hello", "evil.bin": b"x"}))
    assert sorted(unpacked.other_names) == ["README.md", "evil.bin"]
    assert {path.name for path in (tmp_path / "inside").iterdir()} == ADAPTER.keys()


@packers
def test_what_macos_leaves_behind_is_ignored(
    pack: Packer, open_archive: Callable[[bytes], Unpacked]
) -> None:
    """Finder's own files are nobody's fault."""
    litter = {"__MACOSX/a/._x": b"", f"a/._{MODEL}": b"x", "a/.DS_Store": b"x"}
    adapter = {f"a/{name}": data for name, data in ADAPTER.items()}
    unpacked = open_archive(pack({**litter, **adapter}))
    assert unpacked.files.keys() == ADAPTER.keys()
    assert unpacked.other_names == []


@packers
@pytest.mark.parametrize(
    "name",
    [
        f"../{MODEL}",
        f"a/../../{MODEL}",
        f"/tmp/{MODEL}",
        f"C:/{MODEL}",
        f"..\\{MODEL}",
        f"a//{MODEL}",
        f"a/./{MODEL}",
        "line\nbreak",
        "right\u202eto-left",
        "x" * 300,
    ],
)
def test_names_that_lead_elsewhere_are_refused(pack: Packer, name: str, tmp_path: Path) -> None:
    """Absolute, upward, backslashed, controlling or endless names never reach the disk."""
    error = refused(tmp_path, pack({name: b"x"}))
    assert error.code == "archive_unsafe_path"
    assert error.details["member"] in error.message


@pytest.mark.parametrize("name", [f"{MODEL}X.txt", "X.txt"])
def test_name_that_ends_at_a_nul_is_refused(name: str, tmp_path: Path) -> None:
    """Python cuts a zip member's name at a NUL, be it the first byte: the whole name is judged."""
    data = pack_zip({name: b"x"}).replace(b"X.txt", b"\0.txt")
    assert refused(tmp_path, data).code == "archive_unsafe_path"


def test_name_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    """Half a character cannot be written into a report."""
    data = tarfile.TarInfo("café").tobuf(tarfile.USTAR_FORMAT, encoding="latin-1") + bytes(1024)
    assert refused(tmp_path, data).code == "archive_unsafe_path"


@packers
@pytest.mark.parametrize("name", [f"a/b/{MODEL}", f"other/{MODEL}", "other/x"])
def test_deeper_folders_are_refused(pack: Packer, name: str, tmp_path: Path) -> None:
    """The files lie at the root or in one folder: nothing is picked out of a tree."""
    error = refused(tmp_path, pack({f"a/{CONFIG}": b"{}", name: b"x"}))
    assert error.code == "archive_nested"


@packers
@pytest.mark.parametrize(
    ("first", "second"),
    [(MODEL, MODEL.upper()), ("caf\u00e9.txt", "cafe\u0301.txt"), ("straße", "STRASSE")],
)
def test_names_that_some_disk_takes_for_one_are_refused(
    pack: Packer, first: str, second: str, tmp_path: Path
) -> None:
    """Case and accents must not hide a file behind another."""
    assert refused(tmp_path, pack({first: b"1", second: b"2"})).code == "archive_duplicate"


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    """Which of two would be read depends on the reader."""
    assert refused(tmp_path, tar_of(entry(MODEL), entry(MODEL))).code == "archive_duplicate"


def test_the_same_name_twice_in_a_zip_is_refused(tmp_path: Path) -> None:
    """As above; Python's own index would show the last one only."""
    data = pack_zip({MODEL: b"1", "x" * len(MODEL): b"2"}).replace(
        b"x" * len(MODEL), MODEL.encode()
    )
    assert refused(tmp_path, data).code == "archive_duplicate"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    """A link named like the adapter would be read as /etc/passwd."""
    error = refused(tmp_path, tar_of(entry(MODEL, kind, linkname="/etc/passwd")))
    assert error.code == "archive_link"


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    """The same in a zip, where the link hides in the Unix mode."""
    link = zipfile.ZipInfo(MODEL)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert refused(tmp_path, sink.getvalue()).code == "archive_link"


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, b"S", b"Z"])
def test_special_files_are_refused(kind: bytes, tmp_path: Path) -> None:
    """Devices, pipes, sparse files and kinds nobody knows."""
    assert refused(tmp_path, tar_of(entry(MODEL, kind))).code == "archive_special_file"


def test_special_files_in_a_zip_are_refused(tmp_path: Path) -> None:
    """A pipe by its Unix mode."""
    pipe = zipfile.ZipInfo(MODEL)
    pipe.external_attr = stat.S_IFIFO << 16
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(pipe, "")
    assert refused(tmp_path, sink.getvalue()).code == "archive_special_file"


def test_sparse_file_by_pax_header_is_refused(tmp_path: Path) -> None:
    """A sparse file claims terabytes of holes in a few bytes."""
    sparse = entry(MODEL, pax_headers={"GNU.sparse.major": "1", "GNU.sparse.size": "1" * 15})
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(sparse)
    assert refused(tmp_path, sink.getvalue()).code == "archive_special_file"


@packers
def test_more_bytes_than_allowed_are_refused(pack: Packer, tmp_path: Path) -> None:
    """Zeros that shrink a thousandfold stop at the cap."""
    error = refused(tmp_path, pack({MODEL: bytes(CAP), CONFIG: b"{}"}))
    assert error.code == "archive_bomb"


@packers
def test_bomb_of_files_that_are_not_kept_is_refused(pack: Packer, tmp_path: Path) -> None:
    """Reading past a file that is not wanted costs time too."""
    assert refused(tmp_path, pack({"x": bytes(2 * CAP)})).code == "archive_bomb"


@pytest.mark.parametrize("pack", [pack_tar_gz, pack_tar_zst])
def test_bomb_among_the_litter_is_refused(pack: Packer, tmp_path: Path) -> None:
    """Nor can it hide among what is ignored."""
    assert refused(tmp_path, pack({"._x": bytes(4 * CAP)})).code == "archive_bomb"


@pytest.mark.parametrize("pack", [pack_zip, pack_tar_gz, pack_tar_zst])
def test_archive_that_is_far_smaller_than_what_it_holds_is_refused(
    pack: Packer, tmp_path: Path
) -> None:
    """A hundred kilobytes would cost the API's disk, and the store for a week, all that an upload
    may have; zeros up to a few megabytes are nobody's harm."""
    error = refused(tmp_path, pack({MODEL: bytes(SMALL), CONFIG: b"{}"}), max_bytes=64 * SMALL)
    assert error.code == "archive_bomb"


@pytest.mark.parametrize("pack", [pack_zip, pack_tar_gz, pack_tar_zst])
def test_what_shrinks_within_reason_is_read(pack: Packer, tmp_path: Path) -> None:
    """An adapter that is mostly zeros, as one that was hardly trained."""
    data = random.Random(7).randbytes(SMALL // 8) + bytes(SMALL)
    archive, inside = tmp_path / "upload", tmp_path / "inside"
    archive.write_bytes(pack({MODEL: data}))
    inside.mkdir()
    unpacked = unpack(archive, inside, max_bytes=64 * SMALL)
    assert unpacked.files[MODEL].sha256 == hashlib.sha256(data).hexdigest()


def test_zip_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    """A member claims ten bytes and holds many: the claim is never trusted."""
    data = bytearray(pack_zip({MODEL: bytes(CAP * 2)}))
    ten = struct.pack("<L", 10)
    data[22:26] = ten  # local header
    central = data.rindex(b"PK\x01\x02")
    data[central + 24 : central + 28] = ten
    assert refused(tmp_path, bytes(data)).code == "archive_unreadable"


def test_zip_whose_members_begin_before_it_is_refused(tmp_path: Path) -> None:
    """Offsets count from where the directory should begin: a larger one points to before 0."""
    data = bytearray(pack_zip(ADAPTER))
    end = data.rindex(b"PK\x05\x06")
    data[end + 16 : end + 20] = struct.pack("<L", len(data) * 2)
    assert refused(tmp_path, bytes(data)).code == "archive_unreadable"


def test_tar_that_claims_terabytes_is_refused(tmp_path: Path) -> None:
    """The claim alone is over the cap."""
    head = entry(MODEL, size=1 << 42).tobuf(tarfile.GNU_FORMAT)
    assert refused(tmp_path, head + bytes(1024)).code == "archive_bomb"


@packers
def test_too_many_members_are_refused(pack: Packer, tmp_path: Path) -> None:
    """An adapter is two files, not a file system."""
    many = {f"file-{number}": b"" for number in range(MAX_MEMBERS + 1)}
    assert refused(tmp_path, pack(many)).code == "archive_too_many_members"


def test_zip_with_an_endless_directory_is_refused(tmp_path: Path) -> None:
    """Python would read a directory of any size into memory."""
    many = {f"{'n' * 200}-{number}": b"" for number in range(6000)}
    assert refused(tmp_path, pack_zip(many)).code == "archive_too_many_members"


def test_tar_with_headers_only_is_refused(tmp_path: Path) -> None:
    """Extension headers without end, each for a member that never comes."""
    pax = entry("x", b"x", size=13).tobuf() + b"13 comment=x\n".ljust(512, b"\0")
    assert refused(tmp_path, pax * 300 + bytes(1024)).code == "archive_too_many_members"


def test_huge_extension_header_is_refused(tmp_path: Path) -> None:
    """A header of a gigabyte would be held in memory."""
    head = entry("x", b"x", size=1 << 30).tobuf()
    assert refused(tmp_path, head + bytes(1024)).code == "archive_unreadable"


def test_global_header_that_renames_is_refused(tmp_path: Path) -> None:
    """It would give every member the same name, for some readers."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", pax_headers={"path": MODEL}) as archive:
        archive.addfile(tarfile.TarInfo("innocent"))
    assert refused(tmp_path, sink.getvalue()).code == "archive_unreadable"


def test_encrypted_member_is_refused(tmp_path: Path) -> None:
    """Nobody will type a password."""
    data = bytearray(pack_zip(ADAPTER))
    data[6] |= 1
    central = data.index(b"PK\x01\x02")
    data[central + 8] |= 1
    assert refused(tmp_path, bytes(data)).code == "archive_encrypted"


def test_odd_compression_is_refused(tmp_path: Path) -> None:
    """bzip2 and lzma inside a zip are known to few readers, and unpack slowly."""
    data = pack_zip({MODEL: WEIGHTS}, zipfile.ZIP_BZIP2)
    assert refused(tmp_path, data).code == "archive_format_unsupported"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"just text",
        bz2.compress(b"x"),
        b"\x50\x2a\x4d\x18\1\0\0\0x" + pack_tar_zst(ADAPTER),
        b"\x10\0\0\0\0\0\0\0" + b'{"a":1}',
    ],
    ids=["empty", "text", "bz2", "skippable", "safetensors"],
)
def test_other_formats_are_refused(data: bytes, tmp_path: Path) -> None:
    """The first bytes decide; what is not known is not guessed at."""
    error = refused(tmp_path, data)
    assert error.code == "archive_format_unsupported"
    assert ".tar.gz or .tar.zst" in error.message


@packers
def test_archive_without_files_is_refused(pack: Packer, tmp_path: Path) -> None:
    """Nothing but litter is nothing."""
    assert refused(tmp_path, pack({".DS_Store": b"x"})).code == "archive_empty"


def test_packing_is_reproducible_and_reads_back(
    open_archive: Callable[[bytes], Unpacked],
) -> None:
    """The same files make the same bytes, and our own reader and Python's take them."""

    def packed() -> bytes:
        files = [Packed(name, len(data), io.BytesIO(data)) for name, data in ADAPTER.items()]
        return b"".join(zip_chunks(files))

    data = packed()
    assert data == packed()
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    assert open_archive(data).files.keys() == ADAPTER.keys()
