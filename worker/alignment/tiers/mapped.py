"""A shard as a mapping of its file: read once, hashed as it is read, never copied.

The file may be removed or replaced meanwhile, and what is mapped stays as it was. Nobody may write
into it: a file cut short under a mapping kills the process that reads on.
"""

import os
from collections.abc import Mapping
from typing import BinaryIO

import torch
from torch import Tensor

from core.safetensors_header import LENGTH_BYTES, TensorInfo, header_length, parse_header
from worker.alignment.naming import digest_like, digest_of
from worker.safetensors_file import TORCH_DTYPES


def whole_mapping(file: BinaryIO, digest: str) -> Tensor | None:
    """All of `file` as bytes, or None if they do not have this digest.

    Private and writable, as tensors want their memory: what is written there reaches no file. It
    holds no descriptor, of which there are fewer than a large alignment has shards.
    """
    size = os.fstat(file.fileno()).st_size
    if size == 0:  # which cannot be mapped
        return None
    mapping = torch.from_file(f"/dev/fd/{file.fileno()}", size=size, dtype=torch.uint8)
    found = digest_of([mapping.numpy().data], digest_like(digest))
    return mapping if found == digest else None


def tensors_in(mapping: Tensor) -> Mapping[str, Tensor]:
    """Every tensor by name, as a view on the mapping, which lives as long as one of them does."""
    body = LENGTH_BYTES + header_length(mapping[:LENGTH_BYTES].numpy().tobytes())
    tensors = parse_header(mapping[LENGTH_BYTES:body].numpy().tobytes(), len(mapping) - body)
    return {name: _view(mapping, body, info) for name, info in tensors.items()}


def _view(mapping: Tensor, body: int, info: TensorInfo) -> Tensor:
    dtype = TORCH_DTYPES[info.dtype]
    size = info.end - info.start
    if size == 0:
        return torch.empty(info.shape, dtype=dtype)
    flat = mapping[body + info.start : body + info.start + size]
    if flat.data_ptr() % dtype.itemsize:
        flat = flat.clone()  # the format lets a header end anywhere
    return flat.view(dtype).reshape(info.shape)
