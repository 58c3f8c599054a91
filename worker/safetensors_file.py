"""One safetensors file for one set of tensors: the same bytes on every run.

The library writes `__metadata__` in an order that changes from process to process. The format: 8
bytes little-endian header length, a JSON header padded with spaces to a multiple of 8, the tensors
without gaps (https://github.com/huggingface/safetensors, "Format").
"""

import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from core.canonical import Json, canonical_json

TORCH_DTYPES: dict[str, torch.dtype] = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
Kind = tuple[torch.dtype, tuple[int, ...]]
_NAMES = {dtype: name for name, dtype in TORCH_DTYPES.items()}
_ALIGNMENT = 8


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Raises KeyError for a dtype that is none of these, OSError; a file that is there stays."""
    parts = safetensors_parts(tensors, metadata)
    with path.open("xb") as file:
        file.writelines(parts)


def safetensors_parts(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> Iterator[bytes | memoryview]:
    """The file in pieces, one after the other: the header, then each tensor's bytes.

    Raises KeyError for another dtype.
    """
    kinds = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}
    yield safetensors_header(kinds, metadata)
    for name in _ordered(kinds):
        yield tensor_bytes(tensors[name])


def safetensors_header(kinds: Mapping[str, Kind], metadata: Mapping[str, str]) -> bytes:
    """All that comes before the bytes of tensors of these dtypes and shapes; keys sorted."""
    header: dict[str, Json] = {"__metadata__": dict(metadata)}
    position = 0
    for name in _ordered(kinds):
        dtype, shape = kinds[name]
        end = position + math.prod(shape) * dtype.itemsize
        header[name] = {
            "dtype": _NAMES[dtype],
            "shape": list(shape),
            "data_offsets": [position, end],
        }
        position = end
    text = canonical_json(header)
    text += b" " * (-len(text) % _ALIGNMENT)
    return struct.pack("<Q", len(text)) + text


def tensor_bytes(tensor: Tensor) -> memoryview:
    """Row-major, little-endian."""
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data


def _ordered(kinds: Mapping[str, Kind]) -> list[str]:
    """Tensors of float32 before those of 16 bits, so that each begins where its words do, then by
    name."""
    return sorted(kinds, key=lambda name: (-kinds[name][0].itemsize, name))
