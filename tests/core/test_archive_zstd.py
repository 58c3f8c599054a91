"""A .tar.zst is the tar inside it, or refused: no frame decides otherwise."""

import io
import struct
import tarfile
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.archives import unpack
from core.archives.zst import MAX_FRAMES, ZstdStream
from core.errors import Unprocessable
from tests.archives import (
    ADAPTER,
    CAP,
    CONFIG,
    MODEL,
    entry,
    pack_tar,
    pack_tar_zst,
    refused,
    tar_of,
    zstd_dictionary,
    zstd_frame,
)

EMPTY = zstd_frame(b"")
SKIPPABLE = struct.pack("<LL", 0x184D2A50, 5) + b"hello"
DESCRIPTOR, WINDOW = 4, 5  # where a frame says what its header holds, and how far back it refers
TWO_TO_THE_23, ONE_STEP_MORE = 0x68, 0x69
MANY = 1 << 26

Entries = list[tuple[str, bytes, bytes]]

NAMES = [MODEL, CONFIG, "README.md", "._x", "a/x", "a/b/x", "../x", "/x", "x" * 120]
ENTRIES = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from([tarfile.REGTYPE] * 5 + [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE]),
    st.binary(max_size=2000),
)


def seen(folder: Path, data: bytes) -> object:
    """All that a caller learns of an archive: what came out of it, or why it was refused."""
    archive, inside = folder / "upload", folder / "inside"
    archive.write_bytes(data)
    inside.mkdir()
    try:
        unpacked = unpack(archive, inside, max_bytes=CAP)
    except Unprocessable as error:
        return error.code, error.message, error.details
    files = {name: (file.size, file.sha256) for name, file in unpacked.files.items()}
    return files, unpacked.other_names


def tar_with(entries: Entries) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, kind, held in entries:
            size = len(held) if kind == tarfile.REGTYPE else 0
            archive.addfile(entry(name, kind, size=size), io.BytesIO(held))
    return sink.getvalue()


@settings(max_examples=80, deadline=None)
@given(
    entries=st.lists(ENTRIES, min_size=1, max_size=4),
    missing=st.sampled_from([0, 0, 1, 9000, 9500]),
    behind=st.sampled_from([b"", b"", bytes(700), b"more"]),
    cuts=st.lists(st.integers(0, 20_000), max_size=4),
    level=st.integers(-5, 19),
)
def test_tar_behind_any_frames_is_that_tar(
    entries: Entries,
    missing: int,
    behind: bytes,
    cuts: list[int],
    level: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Good or bad, at every level, in any frames, empty ones too: the same files or refusal."""
    whole = tar_with(entries)
    tar = whole[: len(whole) - missing] + behind
    edges = [0, *sorted(min(cut, len(tar)) for cut in cuts), len(tar)]
    frames = [zstd_frame(tar[start:end], level) for start, end in pairwise(edges)]
    packed = seen(tmp_path_factory.mktemp("packed"), b"".join(frames))
    assert packed == seen(tmp_path_factory.mktemp("plain"), tar)


@settings(max_examples=60, deadline=None)
@given(
    content=st.binary(max_size=200_000),
    edge=st.integers(0, 200_000),
    sizes=st.lists(st.integers(0, 70_000), min_size=1, max_size=20),
)
def test_a_read_unpacks_what_was_asked_for(content: bytes, edge: int, sizes: list[int]) -> None:
    """Neither more nor, before the end, less, wherever frames begin."""
    frames = zstd_frame(content[:edge]) + zstd_frame(content[edge:])
    stream, read = ZstdStream(io.BytesIO(frames)), 0
    for size in sizes:
        assert stream.read(size) == content[read : read + size]
        read += size


def test_bomb_takes_no_memory(tmp_path: Path) -> None:
    """Zeros that shrink ten thousandfold are met a piece at a time, and counted."""
    archive = tmp_path / "upload"
    archive.write_bytes(pack_tar_zst({"._x": bytes(MANY)}))
    assert archive.stat().st_size < MANY / 10_000
    tracemalloc.start()
    with pytest.raises(Unprocessable) as caught:
        unpack(archive, tmp_path, max_bytes=MANY // 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.code == "archive_bomb"
    assert peak < 5 * CAP


def test_window_of_eight_mebibytes_is_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every level that `zstd` offers without --ultra, of a pipe as of a file."""
    packed = zstd_frame(pack_tar(ADAPTER), level=19, window_log=23)
    assert packed[WINDOW] == TWO_TO_THE_23
    plain = tmp_path_factory.mktemp("plain")
    assert seen(tmp_path_factory.mktemp("packed"), packed) == seen(plain, pack_tar(ADAPTER))


@pytest.mark.parametrize("level", [20, 21, 22])
def test_larger_window_is_refused(level: int, tmp_path: Path) -> None:
    """A few bytes must not make the gate set memory aside; what to do instead is said."""
    error = refused(tmp_path, zstd_frame(pack_tar(ADAPTER), level))
    assert error.code == "archive_format_unsupported"
    assert "level 19 or lower" in error.message


@pytest.mark.parametrize("descriptor", [ONE_STEP_MORE, 0xFF])
def test_window_is_judged_by_its_claim(descriptor: int, tmp_path: Path) -> None:
    """Were it judged by what is unpacked, how a file is read would decide if it can be."""
    packed = bytearray(zstd_frame(pack_tar(ADAPTER), window_log=23))
    packed[WINDOW] = descriptor
    assert refused(tmp_path, bytes(packed)).code == "archive_format_unsupported"


@pytest.mark.parametrize("size", [(1 << 23) + 1, (1 << 64) - 1])
def test_window_as_large_as_the_content_is_judged_too(size: int, tmp_path: Path) -> None:
    """A frame in one segment names no window: its content is the window."""
    header = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", size)
    error = refused(tmp_path, header + bytes(600))
    assert error.code == "archive_format_unsupported"
    assert str(size) in error.message


def test_large_window_of_a_later_frame_is_refused(tmp_path: Path) -> None:
    """Each frame has its own."""
    packed = pack_tar_zst(ADAPTER) + zstd_frame(b"", level=22)
    assert refused(tmp_path, packed).code == "archive_format_unsupported"


def test_dictionary_is_refused(tmp_path: Path) -> None:
    """Nobody has sent it along."""
    tar = pack_tar(ADAPTER)
    packed = zstd_frame(tar, dictionary=zstd_dictionary(tar, numbered=True))
    error = refused(tmp_path, packed)
    assert error.code == "archive_format_unsupported"
    assert "dictionary" in error.message


def test_dictionary_without_a_number_is_damage(tmp_path: Path) -> None:
    """The frame refers to bytes that are not there."""
    tar = pack_tar(ADAPTER)
    packed = zstd_frame(tar, dictionary=zstd_dictionary(tar, numbered=False))
    assert refused(tmp_path, packed).code == "archive_unreadable"


@pytest.mark.parametrize(
    "behind",
    [b"\0", bytes(600), b"more", SKIPPABLE, SKIPPABLE + EMPTY, b"\x27\xb5\x2f\xfd" + bytes(20)],
    ids=["zero", "zeros", "text", "skippable", "between", "old"],
)
def test_what_is_no_frame_is_refused(behind: bytes, tmp_path: Path) -> None:
    """Skipped by some readers, an error to others: nothing lies behind the archive's end."""
    error = refused(tmp_path, pack_tar_zst(ADAPTER) + behind)
    assert error.code == "archive_unreadable"
    assert "no frame of data" in error.message


def test_every_truncation_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Wherever the upload broke off: in a header, a block or the checksum, the last frame's too."""
    tar = pack_tar(ADAPTER)
    first = zstd_frame(tar[:1000])
    whole = first + zstd_frame(tar[1000:])
    for end in {*range(4, len(whole), 7), *range(len(first), len(whole))}:
        error = refused(tmp_path_factory.mktemp("cut"), whole[:end])
        assert error.code == "archive_unreadable", end
        assert "it ends before" in error.message, end


def test_wrong_checksum_of_zstd_is_refused(tmp_path: Path) -> None:
    """The stream is read to its end, so the checksum there counts."""
    packed = bytearray(pack_tar_zst(ADAPTER))
    packed[-1] ^= 1
    error = refused(tmp_path, bytes(packed))
    assert (error.code, "checksum" in error.message) == ("archive_unreadable", True)


def test_reserved_bit_is_refused(tmp_path: Path) -> None:
    """Whatever it will mean one day, it means that the frame is read otherwise."""
    packed = bytearray(pack_tar_zst(ADAPTER))
    packed[DESCRIPTOR] |= 0x08
    assert refused(tmp_path, bytes(packed)).code == "archive_unreadable"


def test_empty_frame_is_an_empty_tar(tmp_path: Path) -> None:
    """Which has no end marker, so it is refused as one that was cut off."""
    assert refused(tmp_path, EMPTY).code == "archive_unreadable"


def test_frames_without_end_are_refused(tmp_path: Path) -> None:
    """Nine bytes each that unpack to nothing would keep the gate busy for as long as one likes."""
    error = refused(tmp_path, pack_tar_zst(ADAPTER) + EMPTY * MAX_FRAMES)
    assert error.code == "archive_format_unsupported"


def test_link_behind_zstd_is_refused(tmp_path: Path) -> None:
    """The compression does not hide it."""
    link = tar_of(entry(MODEL, tarfile.SYMTYPE, linkname="/etc/passwd"))
    assert refused(tmp_path, zstd_frame(link)).code == "archive_link"
