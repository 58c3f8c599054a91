"""The upload's files before any tensor is read: which there are, and is the header sound?"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.arriving_header import header_finding
from core.findings import Finding, finding
from core.foreign_formats import LOOKED_AT, foreign_format
from core.policy import Caps
from core.report import FileFacts
from core.safetensors_header import (
    LENGTH_BYTES,
    HeaderError,
    TensorInfo,
    header_length,
    parse_header,
    truncated_header,
)
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL, ATTESTATION, MLX_MODEL
from worker.adapter.model import AdapterFiles

HARMLESS_NAMES = frozenset(
    {"README.md", "LICENSE", "LICENSE.txt", ".gitattributes", ".gitignore", ATTESTATION}
)
PICKLE_ENDINGS = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
SIDE_FILES = ("token", "vocab", "merges", "chat_template", "special_", "generation_config")
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
    with path.open("rb") as file:
        foreign = foreign_format(file.read(LOOKED_AT))
    if foreign:
        return NOTHING, [finding(foreign, "file", path.name)]
    try:
        header = _header_of(path)
    except HeaderError as error:
        return NOTHING, [header_finding(error, path.name)]
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
        raise truncated_header()
    body = LENGTH_BYTES + length
    return Header(parse_header(header, path.stat().st_size - body), body)
