"""The strict check of a safetensors header, before any tensor is touched.

The format: 8 bytes little-endian header length N, N bytes of JSON, then the tensors' bytes
(https://github.com/huggingface/safetensors, "Format"). Stricter than the library where two readers
could disagree: duplicate keys, holes, overlaps and trailing bytes are refused.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.canonical import DuplicateKey, parse_json_strictly

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 16 * 2**20
MAX_TENSORS = 65_536
MAX_NAME = 256  # characters; real ones have about a hundred
MAX_DIMENSIONS = 8
DTYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
ADAPTER_DTYPES = {name: 8 * size for name, size in DTYPE_BYTES.items()}
"""Bits of an element."""
CHECKPOINT_DTYPES = {
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
"""All that the format knows, as of safetensors 0.8: a checkpoint may hold what is no weight."""


class HeaderError(ValueError):
    """The header is not one that every reader understands alike.

    `code` is a finding code, `tensor` the tensor at fault if there is one.
    """

    def __init__(self, message: str, *, code: str = "header_invalid", tensor: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.tensor = tensor


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: dtype as safetensors spells it, shape, and its bytes counted from the body."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def header_length(prefix: bytes) -> int:
    """N, from the file's first 8 bytes. Raises `HeaderError`."""
    if len(prefix) < LENGTH_BYTES:
        raise HeaderError("the file ends within its first 8 bytes", code="truncated_file")
    length = int(struct.unpack("<Q", prefix[:LENGTH_BYTES])[0])
    if not 2 <= length <= MAX_HEADER_BYTES:
        raise HeaderError(f"the header claims {length} bytes; 2 to {MAX_HEADER_BYTES} are accepted")
    return length


def truncated_header() -> HeaderError:
    return HeaderError("the file ends within its header", code="truncated_file")


def parse_header(
    header: bytes, body_bytes: int | None, dtypes: Mapping[str, int] = ADAPTER_DTYPES
) -> dict[str, TensorInfo]:
    """Tensors by name, in the order of their bytes. `body_bytes`: file size - 8 - len(header), or
    None where the file is still arriving: then `check_body` has the last word.

    Raises `HeaderError` for anything that is not exactly a list of dense tensors of `dtypes` that
    fill the body from its first byte to its last.
    """
    if not header.startswith(b"{"):
        raise HeaderError("the header does not begin with '{'")
    _check_counts(header)
    try:
        parsed = parse_json_strictly(header)
    except DuplicateKey as error:
        raise HeaderError(str(error), code="duplicate_key") from error
    except ValueError as error:
        raise HeaderError(f"the header is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise HeaderError("the header is no JSON object")
    _check_metadata(parsed.pop("__metadata__", {}))
    tensors = {name: _tensor(name, fields, dtypes) for name, fields in parsed.items()}
    ordered = dict(sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)))
    _check_layout(ordered)
    if body_bytes is not None:
        check_body(ordered, body_bytes)
    return ordered


def check_body(tensors: Mapping[str, TensorInfo], body_bytes: int) -> None:
    """Raises `HeaderError` unless the tensors of a parsed header end where the file does."""
    end = max((tensor.end for tensor in tensors.values()), default=0)
    if end > body_bytes:
        raise HeaderError(
            f"the tensors need {end} bytes and the file has {body_bytes}", code="truncated_file"
        )
    if end < body_bytes:
        raise HeaderError(f"{body_bytes - end} bytes after the last tensor")


def _check_counts(header: bytes) -> None:
    """Before it is parsed: a list in JSON takes three bytes there and a hundred in memory.

    A tensor takes one object, two lists and less than `3 + MAX_DIMENSIONS + 2` commas.
    """
    most = {b"{": MAX_TENSORS + 2, b"[": 2 * MAX_TENSORS, b",": (MAX_DIMENSIONS + 5) * MAX_TENSORS}
    if any(header.count(mark) > count for mark, count in most.items()):
        raise HeaderError(f"the header lists more than {MAX_TENSORS} tensors")


def _check_metadata(metadata: Any) -> None:
    is_text_map = isinstance(metadata, dict) and all(
        isinstance(value, str) for value in metadata.values()
    )
    if not is_text_map:
        raise HeaderError("__metadata__ is not a map from text to text")


def _tensor(name: str, fields: Any, dtypes: Mapping[str, int]) -> TensorInfo:
    if len(name) > MAX_NAME:
        raise HeaderError(f"a name of {len(name)} characters; {MAX_NAME} are accepted", tensor=name)
    if not isinstance(fields, dict) or fields.keys() != {"dtype", "shape", "data_offsets"}:
        raise HeaderError("needs exactly dtype, shape and data_offsets", tensor=name)
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not (_is_count_list(shape) and _is_count_list(offsets) and len(offsets) == 2):
        raise HeaderError("shape or data_offsets are not lists of whole numbers", tensor=name)
    if not isinstance(dtype, str) or dtype not in dtypes:
        raise HeaderError(
            f"dtype {dtype!r:.20}; {', '.join(dtypes)} are accepted",
            code="dtype_unsupported",
            tensor=name,
        )
    elements = 1
    for size in shape:
        elements *= size
    start, end = offsets
    if 8 * (end - start) != elements * dtypes[dtype]:
        raise HeaderError(
            f"{end - start} bytes for shape {shape} of {dtype},"
            f" which takes {elements * dtypes[dtype] / 8:g}",
            tensor=name,
        )
    return TensorInfo(dtype, tuple(shape), start, end)


def _is_count_list(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MAX_DIMENSIONS
        and all(type(item) is int and 0 <= item < 2**63 for item in value)
    )


def _check_layout(tensors: dict[str, TensorInfo]) -> None:
    """Each tensor begins where the one before it ends."""
    position = 0
    for name, tensor in tensors.items():
        if tensor.start != position:
            kind = "overlaps the one before it" if tensor.start < position else "leaves a hole"
            raise HeaderError(f"begins at byte {tensor.start}, which {kind}", tensor=name)
        position = tensor.end
