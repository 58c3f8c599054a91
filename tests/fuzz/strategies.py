"""Inputs in the formats of strangers, right or wrong in a few places."""

import json
import struct
from math import prod
from typing import Any

from hypothesis import strategies as st

from fuzz.mutate.words import FRAGMENTS, NUMBERS
from tests.archives import pack_tar, pack_tar_gz, pack_tar_zst, pack_zip
from tests.worker.making import CONFIG
from worker.adapter.peft_config import known_fields

NAMES = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=4).map("".join)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | NAMES | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
PACKERS = st.sampled_from([pack_zip, pack_tar, pack_tar_gz, pack_tar_zst])
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "I8": 1}


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """The data as it is, cut, or with a few bytes changed."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(0, 2)) if data else 0):
        changed[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(changed[: draw(st.none() | st.integers(0, len(data)))])


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """Tensors laid out as they should be, and then perhaps one field of one that lies."""
    position = 0
    tensors: dict[str, Any] = {}
    for name in draw(st.lists(NAMES, max_size=4, unique=True)):
        dtype = draw(st.sampled_from(sorted(SIZES)))
        shape = draw(st.lists(st.integers(0, 5), max_size=3))
        end = position + prod(shape) * SIZES[dtype]
        tensors[name] = {"dtype": dtype, "shape": shape, "data_offsets": [position, end]}
        position = end
    if draw(st.booleans()) and tensors:
        lying: dict[str, Any] = tensors[draw(st.sampled_from(sorted(tensors)))]
        field = draw(st.sampled_from(["dtype", "shape", "data_offsets", "other"]))
        lying[field] = draw(VALUES)
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + bytes(position)


@st.composite
def configs(draw: st.DrawFn) -> bytes:
    """Either form, with fields of any value; numbers spelt as JSON has and has not."""
    mlx = {"fine_tune_type": "lora", "lora_parameters": {"rank": 2, "scale": draw(SCALARS)}}
    fields: dict[str, Any] = dict(draw(st.sampled_from([CONFIG, mlx])))
    names = st.sampled_from(sorted(known_fields())) | NAMES
    fields |= draw(st.dictionaries(names, VALUES, max_size=3))
    text = json.dumps(fields)
    if draw(st.booleans()):
        text = text.replace(": 2", f": {draw(st.sampled_from(NUMBERS))}", 1)
    return text.encode()


@st.composite
def name_lists(draw: st.DrawFn) -> bytes:
    """Names of both spellings, whole pairs among them."""
    names = draw(st.lists(NAMES, max_size=5))
    for path in draw(st.lists(NAMES, max_size=3)):
        names += [f"{path}.lora_A.weight", f"{path}.lora_B.weight"]
    return draw(st.sampled_from([b"P", b"M"])) + json.dumps(names).encode()


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """Members of any name and any bytes, in each format."""
    known = st.sampled_from(
        ["adapter_model.safetensors", "adapter_config.json", "a/adapter_config.json"]
    )
    plain = NAMES.filter(lambda name: "\0" not in name and "\ud800" not in name and name != "")
    files = draw(st.dictionaries(known | plain, st.binary(max_size=600), max_size=3))
    return draw(PACKERS)(files)
