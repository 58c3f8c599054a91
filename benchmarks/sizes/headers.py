"""A sharded checkpoint of a model's shapes whose files are headers with one hole behind each."""

import json
import math
from pathlib import Path
from typing import Any

from benchmarks.sizes.models import Model
from core.safetensors_header import DTYPE_BYTES
from worker.alignment.tensors import INDEX

SHARD_BYTES = 5 * 10**9  # as transformers cuts them, where no tensor is larger

Header = dict[str, Any]


def write_headers(folder: Path, model: Model) -> int:
    """Config, index and shards of the sizes that the model has; how many shards.

    The bodies take no room on a file system that keeps holes.
    """
    headers = _cut(model)
    weight_map: dict[str, str] = {}
    for number, header in enumerate(headers, start=1):
        file = f"model-{number:05}-of-{len(headers):05}.safetensors"
        weight_map |= dict.fromkeys(header, file)
        _write_hollow(folder / file, header)
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps(model.config))
    return len(headers)


def _cut(model: Model) -> list[Header]:
    """The tensors in order, a new file before the one that would be too much for it."""
    headers: list[Header] = [{}]
    end = 0
    for name, shape in model.weights():
        size = math.prod(shape) * DTYPE_BYTES[model.dtype]
        if headers[-1] and end + size > SHARD_BYTES:
            headers.append({})
            end = 0
        offsets = [end, end + size]
        headers[-1][name] = {"dtype": model.dtype, "shape": shape, "data_offsets": offsets}
        end += size
    return headers


def _write_hollow(path: Path, header: Header) -> None:
    text = json.dumps(header).encode()
    offsets: list[list[int]] = [tensor["data_offsets"] for tensor in header.values()]
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + max(end for _, end in offsets))
