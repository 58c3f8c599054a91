"""Archives built in code, good ones and the pieces of bad ones."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from core.archives import unpack
from core.errors import Unprocessable

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


packers = pytest.mark.parametrize("pack", [pack_zip, pack_tar, pack_tar_gz])


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
