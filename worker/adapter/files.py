"""The upload's files before any tensor is read: which there are, and is the header sound?"""

import hashlib
from pathlib import Path

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
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL
from worker.adapter.model import AdapterFiles

HARMLESS_NAMES = frozenset({"README.md", "LICENSE", "LICENSE.txt", ".gitattributes", ".gitignore"})
PICKLE_ENDINGS = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
SIDE_FILES = ("token", "vocab", "merges", "chat_template", "special_", "generation_config")
PICKLE_PROTOCOLS = (b"\x02", b"\x03", b"\x04", b"\x05")
ZIP_HEADER_BYTES = 30
ZIP_NAME_LIMIT = 2**16
CONFIG_LIMIT = 2**20


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
    return found


def read_header(path: Path, caps: Caps) -> tuple[dict[str, TensorInfo], list[Finding]]:
    """The tensors by name, or what is wrong with the file; caps are checked here too."""
    size = path.stat().st_size
    foreign = _foreign_format(path)
    if foreign:
        return {}, [finding(foreign, "file", ADAPTER_MODEL)]
    try:
        tensors = _tensors_of(path, size)
    except HeaderError as error:
        kind: Kind = "tensor" if error.tensor else "file"
        return {}, [finding(error.code, kind, error.tensor or ADAPTER_MODEL, str(error))]
    found = []
    if not tensors:
        found.append(finding("no_lora_pairs", "file", ADAPTER_MODEL))
    if len(tensors) > caps.tensors:
        detail = f"{len(tensors)} tensors, cap {caps.tensors}"
        found.append(finding("tensors_over_cap", "file", ADAPTER_MODEL, detail))
        tensors = {}  # naming each would only flood the report
    if size > caps.bytes:
        detail = f"{size} bytes, cap {caps.bytes}"
        found.append(finding("bytes_over_cap", "file", ADAPTER_MODEL, detail))
    return tensors, found


def _tensors_of(path: Path, size: int) -> dict[str, TensorInfo]:
    with path.open("rb") as file:
        length = header_length(file.read(LENGTH_BYTES))
        header = file.read(length)
    if len(header) < length:
        raise HeaderError("the file ends within its header", code="truncated_file")
    return parse_header(header, size - LENGTH_BYTES - length)


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
