"""Checkpoints of raw bytes, for dtypes and layouts that no library would write."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BITS = {"F64": 64, "I64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "U8": 8, "BOOL": 8}


@dataclass(frozen=True)
class Raw:
    """One tensor: dtype as safetensors spells it, shape, and its bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def write_file(file: Path, tensors: Mapping[str, Raw], order: Sequence[str]) -> None:
    """A safetensors file of the named tensors: bytes in this order, the header's names sorted."""
    offsets: dict[str, list[int]] = {}
    body = b""
    for name in order:
        offsets[name] = [len(body), len(body) + len(tensors[name].data)]
        body += tensors[name].data
    header: dict[str, Any] = {
        name: {"dtype": raw.dtype, "shape": raw.shape, "data_offsets": offsets[name]}
        for name, raw in sorted(tensors.items())
        if name in offsets
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + body)


def write_checkpoint(
    folder: Path, tensors: Mapping[str, Raw], shards: Sequence[Sequence[str]], **config: Any
) -> Path:
    """The tensors named by each shard in a file of their own, one file without an index."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    if len(shards) == 1:
        write_file(folder / "model.safetensors", tensors, shards[0])
        return folder
    placed: dict[str, str] = {}
    for number, names in enumerate(shards):
        file = f"model-{number:05}.safetensors"
        write_file(folder / file, tensors, names)
        placed |= dict.fromkeys(names, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    return folder
