"""Archives built in code, good ones and the pieces of bad ones."""

import gzip
import io
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from core.archives import unpack
from core.errors import Unprocessable

if sys.version_info >= (3, 14):
    from compression.zstd import CompressionParameter, ZstdCompressor, ZstdDict, finalize_dict
else:
    from backports.zstd import CompressionParameter, ZstdCompressor, ZstdDict, finalize_dict

MODEL, CONFIG = "adapter_model.safetensors", "adapter_config.json"
WEIGHTS = bytes(range(256)) * 20
CAP = 1 << 20
ADAPTER = {MODEL: WEIGHTS, CONFIG: b"{}"}

Packer = Callable[[dict[str, bytes]], bytes]


def pack_zip(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return sink.getvalue()


def pack_tar(files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.mtime = 1.5 if form == tarfile.PAX_FORMAT else 1  # a fraction takes a pax header
            archive.addfile(entry, io.BytesIO(data))
    return sink.getvalue()


def pack_tar_gz(files: dict[str, bytes]) -> bytes:
    return gzip.compress(pack_tar(files))


def pack_tar_zst(files: dict[str, bytes]) -> bytes:
    return zstd_frame(pack_tar(files))


def zstd_frame(
    data: bytes,
    level: int = 3,
    *,
    window_log: int | None = None,
    dictionary: ZstdDict | None = None,
) -> bytes:
    """One frame as `zstd` writes it of a pipe: its size unknown, a checksum at its end."""
    options: dict[int, int] = {
        CompressionParameter.compression_level: level,
        CompressionParameter.checksum_flag: 1,
    }
    if window_log is not None:
        options[CompressionParameter.window_log] = window_log
    compressor = ZstdCompressor(options=options, zstd_dict=dictionary)
    return compressor.compress(data) + compressor.flush()


def zstd_dictionary(content: bytes, *, numbered: bool) -> ZstdDict:
    """One whose number stands in the frames that need it, or one without."""
    raw = ZstdDict(content, is_raw=True)
    return finalize_dict(raw, [content] * 8, len(content) + 1024, 3) if numbered else raw


def tar_of(*entries: tarfile.TarInfo) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for entry in entries:
            archive.addfile(entry, io.BytesIO(bytes(entry.size)))
    return sink.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    for field, value in fields.items():
        setattr(made, field, value)
    return made


packers = pytest.mark.parametrize("pack", [pack_zip, pack_tar, pack_tar_gz, pack_tar_zst])


def refused(tmp_path: Path, data: bytes, max_bytes: int = CAP) -> Unprocessable:
    archive = tmp_path / "upload"
    archive.write_bytes(data)
    folder = tmp_path / "inside"
    folder.mkdir()
    with pytest.raises(Unprocessable) as caught:
        unpack(archive, folder, max_bytes=max_bytes)
    beside = {path.name for path in tmp_path.iterdir()}
    assert beside == {"upload", "inside"}, "something was written outside the folder"
    return caught.value
