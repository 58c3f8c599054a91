"""One safetensors file for one set of tensors: the same bytes on every run.

The library writes `__metadata__` in an order that changes from process to process. The format: 8
bytes little-endian header length, a JSON header padded with spaces to a multiple of 8, the tensors
without gaps (https://github.com/huggingface/safetensors, "Format").
"""

import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from core.canonical import Json, canonical_json

_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
_ALIGNMENT = 8


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Tensors of float32 before those of 16 bits, so that each begins where its words do, then by
    name; header keys sorted. Raises KeyError for another dtype, OSError."""
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    header: dict[str, Json] = {"__metadata__": dict(metadata)}
    position = 0
    for name, tensor in ordered:
        end = position + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = canonical_json(header)
    text += b" " * (-len(text) % _ALIGNMENT)
    with path.open("xb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for _, tensor in ordered:
            file.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
