"""Damaged archives: no smaller adapter, and never a crash."""

import gzip
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.archives import unpack
from core.errors import Unprocessable
from tests.archives import (
    ADAPTER,
    CAP,
    WEIGHTS,
    Packer,
    pack_tar,
    pack_tar_gz,
    pack_tar_zst,
    pack_zip,
    packers,
    refused,
    zstd_frame,
)


@pytest.mark.parametrize("keep", [0.2, 0.4, 0.6])
@packers
def test_truncated_archive_is_refused(pack: Packer, keep: float, tmp_path: Path) -> None:
    """An upload that broke off is no smaller adapter."""
    data = pack(ADAPTER)
    assert refused(tmp_path, data[: int(len(data) * keep)]).code == "archive_unreadable"


def test_tar_without_its_end_is_refused(tmp_path: Path) -> None:
    """Cut exactly between two members: only the missing end marker tells."""
    whole = pack_tar(ADAPTER, tarfile.USTAR_FORMAT)
    first = 512 + -(-len(WEIGHTS) // 512) * 512
    assert refused(tmp_path, whole[:first]).code == "archive_unreadable"


def test_damaged_header_in_the_middle_is_refused(tmp_path: Path) -> None:
    """Python would take it for the end, and leave the rest unread."""
    data = bytearray(pack_tar(ADAPTER, tarfile.USTAR_FORMAT))
    second = 512 + -(-len(WEIGHTS) // 512) * 512
    data[second] ^= 0xFF
    assert refused(tmp_path, bytes(data)).code == "archive_unreadable"


def test_second_archive_behind_the_end_is_refused(tmp_path: Path) -> None:
    """Some readers go on behind the end marker."""
    assert refused(tmp_path, pack_tar(ADAPTER) + pack_tar({"x": b""})).code == "archive_unreadable"


def test_wrong_checksum_is_refused(tmp_path: Path) -> None:
    """A flipped bit in a stored member is found by the zip's CRC."""
    data = bytearray(pack_zip(ADAPTER, zipfile.ZIP_STORED))
    data[data.index(WEIGHTS)] ^= 1
    assert refused(tmp_path, bytes(data)).code == "archive_unreadable"


def test_wrong_checksum_of_gzip_is_refused(tmp_path: Path) -> None:
    """The whole stream is read, so the CRC at its end counts."""
    data = bytearray(pack_tar_gz(ADAPTER))
    data[-8] ^= 1
    assert refused(tmp_path, bytes(data)).code == "archive_unreadable"


@pytest.mark.parametrize(
    "behind",
    [gzip.compress(b""), gzip.compress(pack_tar(ADAPTER)), b"garbage", bytes(9) + b"\1"],
    ids=["empty", "archive", "garbage", "zeros, then one"],
)
def test_nothing_may_follow_a_gzip_member(behind: bytes, tmp_path: Path) -> None:
    """Where one reader goes on with the next member, another stops: so there is only one."""
    assert refused(tmp_path, pack_tar_gz(ADAPTER) + behind).code == "archive_unreadable"


def test_zeros_may_follow_a_gzip_member(tmp_path: Path) -> None:
    """Tapes and block devices pad with them."""
    archive = tmp_path / "upload"
    archive.write_bytes(pack_tar_gz(ADAPTER) + bytes(100_000))
    (tmp_path / "inside").mkdir()
    assert set(unpack(archive, tmp_path / "inside", max_bytes=CAP).files) == set(ADAPTER)


@pytest.mark.parametrize("size", [b"-0000000001", b"+0000000001", b"0000000_001", b"0x000000001"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd_frame])
def test_a_size_that_is_no_octal_number_is_refused(
    size: bytes, compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """A member of -1 bytes would be read for ever: Python's int() takes signs and underscores."""
    honest = pack_tar({"adapter_config.json": b"{}"})
    block = bytearray(honest[:512])
    block[124:136] = size + b"\0"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    tar = bytes(block) + honest[512:]
    assert refused(tmp_path, compress(tar)).code == "archive_unreadable"


@pytest.mark.parametrize("kept", [1, 9, 17, 18, 40, -9, -8, -1])
def test_a_cut_gzip_member_is_refused(kept: int, tmp_path: Path) -> None:
    """Wherever it is cut: in its header, its content or its checksum."""
    data = pack_tar_gz(ADAPTER)[:kept]
    expected = {"archive_format_unsupported"} if kept == 1 else {"archive_unreadable"}
    assert {refused(tmp_path, data).code} == expected


@settings(max_examples=150, deadline=None)
@given(data=st.data(), kind=st.sampled_from([pack_zip, pack_tar, pack_tar_gz, pack_tar_zst]))
def test_damage_is_an_answer_never_a_crash(
    data: st.DataObject, kind: Packer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any bytes flipped anywhere: both files come out, or `Unprocessable` says why not."""
    packed = bytearray(kind(ADAPTER))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damage")
    archive = folder / "upload"
    archive.write_bytes(packed)
    inside = folder / "inside"
    inside.mkdir()
    try:
        unpack(archive, inside, max_bytes=CAP)
    except Unprocessable as error:
        assert error.code.startswith("archive_")
