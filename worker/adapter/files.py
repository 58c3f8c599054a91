"""The upload's files before any tensor is read: which there are, and is the header sound?"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.findings import Finding, Kind, finding
from core.policy import Caps
from core.report import FileFacts
from core.safetensors_header import (
    LENGTH_BYTES,
    HeaderError,
    TensorInfo,
    header_length,
    parse_header,
)
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL, ATTESTATION, MLX_MODEL
from worker.adapter.model import AdapterFiles

HARMLESS_NAMES = frozenset(
    {"README.md", "LICENSE", "LICENSE.txt", ".gitattributes", ".gitignore", ATTESTATION}
)
PICKLE_ENDINGS = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
SIDE_FILES = ("token", "vocab", "merges", "chat_template", "special_", "generation_config")
PICKLE_PROTOCOLS = (b"\x02", b"\x03", b"\x04", b"\x05")
ZIP_HEADER_BYTES = 30
ZIP_NAME_LIMIT = 2**16
CONFIG_LIMIT = 2**20


@dataclass(frozen=True)
class Header:
    """The tensors in the order of their bytes, which begin at byte `body` of the file."""

    tensors: Mapping[str, TensorInfo]
    body: int


NOTHING: Final = Header({}, 0)


def file_facts(path: Path) -> FileFacts:
    """Name, size and SHA-256 of a file."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileFacts(name=path.name, size=path.stat().st_size, sha256=sha256)


def other_files(names: tuple[str, ...]) -> list[Finding]:
    return [finding(_code_of_file(name), "file", name) for name in sorted(names)]


def _code_of_file(name: str) -> str:
    if name in HARMLESS_NAMES:
        return "file_not_carried"
    if name.endswith(PICKLE_ENDINGS):
        return "pickle_file"
    if name.endswith(".gguf"):
        return "gguf_file"
    if name.endswith(".npz"):
        return "npz_file"
    if any(mark in name for mark in SIDE_FILES):
        return "side_file"
    return "unknown_file"


def missing_files(files: AdapterFiles) -> list[Finding]:
    found = []
    for path, code in ((files.model, "adapter_missing"), (files.config, "config_missing")):
        if not path.is_file():
            found.append(finding(code, "file", path.name))
        elif path.stat().st_size == 0:
            found.append(finding("empty_file", "file", path.name))
    if files.config.is_file() and files.config.stat().st_size > CONFIG_LIMIT:
        detail = f"{files.config.stat().st_size} bytes; {CONFIG_LIMIT} are accepted"
        found.append(finding("config_invalid", "file", ADAPTER_CONFIG, detail))
    if {path.name for path in files.present} >= {ADAPTER_MODEL, MLX_MODEL}:
        found.append(finding("two_adapters", "file", MLX_MODEL, f"beside {ADAPTER_MODEL}"))
    return found


def read_header(path: Path) -> tuple[Header, list[Finding]]:
    """The tensors by name, or what is wrong with the file."""
    foreign = _foreign_format(path)
    if foreign:
        return NOTHING, [finding(foreign, "file", path.name)]
    try:
        header = _header_of(path)
    except HeaderError as error:
        kind: Kind = "tensor" if error.tensor else "file"
        return NOTHING, [finding(error.code, kind, error.tensor or path.name, str(error))]
    return header, []


def over_caps(header: Header, path: Path, caps: Caps) -> list[Finding]:
    """What the file has too much of."""
    size = path.stat().st_size
    elements = sum(math.prod(tensor.shape) for tensor in header.tensors.values())
    counts = (
        ("tensors_over_cap", len(header.tensors), "tensors", caps.tensors),
        ("elements_over_cap", elements, "elements", caps.elements),
        ("bytes_over_cap", size, "bytes", caps.bytes),
    )
    return [
        finding(code, "file", path.name, f"{count} {unit}, cap {cap}")
        for code, count, unit, cap in counts
        if count > cap
    ]


def _header_of(path: Path) -> Header:
    with path.open("rb") as file:
        length = header_length(file.read(LENGTH_BYTES))
        header = file.read(length)
    if len(header) < length:
        raise HeaderError("the file ends within its header", code="truncated_file")
    body = LENGTH_BYTES + length
    return Header(parse_header(header, path.stat().st_size - body), body)


def _foreign_format(path: Path) -> str | None:
    """The finding code of a file that is another format by its first bytes."""
    with path.open("rb") as file:
        start = file.read(ZIP_HEADER_BYTES + ZIP_NAME_LIMIT)
    if start.startswith(b"GGUF"):
        return "gguf_file"
    if start.startswith(b"PK\x03\x04"):
        return "npz_file" if _first_member(start).endswith(b".npy") else "pickle_file"
    # A safetensors header of 640 bytes begins like a pickle too, but its ninth byte is a brace.
    if start[:1] == b"\x80" and start[1:2] in PICKLE_PROTOCOLS and start[8:9] != b"{":
        return "pickle_file"
    return None


def _first_member(start: bytes) -> bytes:
    """The name of a zip's first file, from its local header; the archive is never opened."""
    length = int.from_bytes(start[26:28], "little")
    return start[ZIP_HEADER_BYTES : ZIP_HEADER_BYTES + length]
