"""A shard as a mapping of its file: read once, hashed as it is read, never copied.

The file may be removed or replaced meanwhile, and what is mapped stays as it was. Nobody may write
into it: a file cut short under a mapping kills the process that reads on.
"""

import hashlib
import mmap
from collections.abc import Mapping
from typing import BinaryIO

import torch
from torch import Tensor

from core.safetensors_header import LENGTH_BYTES, TensorInfo, header_length, parse_header
from worker.safetensors_file import TORCH_DTYPES


def whole_mapping(file: BinaryIO, sha256: str) -> mmap.mmap | None:
    """All of `file`, or None if its bytes do not have this SHA-256.

    Private and writable, as tensors want their memory: what is written there reaches no file.
    """
    try:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except ValueError:  # an empty file cannot be mapped
        return None
    if hashlib.sha256(mapping).hexdigest() == sha256:
        return mapping
    mapping.close()
    return None


def tensors_in(mapping: mmap.mmap) -> Mapping[str, Tensor]:
    """Every tensor by name, as a view on the mapping, which lives as long as one of them does."""
    body = LENGTH_BYTES + header_length(mapping[:LENGTH_BYTES])
    tensors = parse_header(mapping[LENGTH_BYTES:body], len(mapping) - body)
    return {name: _view(mapping, body, info) for name, info in tensors.items()}


def _view(mapping: mmap.mmap, body: int, info: TensorInfo) -> Tensor:
    dtype = TORCH_DTYPES[info.dtype]
    size = info.end - info.start
    if size == 0:
        return torch.empty(info.shape, dtype=dtype)
    flat = torch.frombuffer(mapping, dtype=torch.uint8, count=size, offset=body + info.start)
    if flat.data_ptr() % dtype.itemsize:
        flat = flat.clone()  # the format lets a header end anywhere
    return flat.view(dtype).reshape(info.shape)
