"""Safetensors files: other tensors in an honest layout, then a lie about one thing of it."""

import struct
from math import prod
from random import Random
from typing import Any

from fuzz.mutate import raw
from fuzz.mutate.names import some_pair
from fuzz.mutate.tree import Number, Object, dump, parse
from fuzz.mutate.values import change_anything
from fuzz.mutate.words import near_name, near_number, some_name, some_value

_SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I8": 1, "BOOL": 1, "F8_E4M3": 1, "f32": 4}
_DTYPES = (*("F32", "F16", "BF16") * 8, *_SIZES)
_LARGEST = 8192  # bytes of a body that is made anew
_WORDS = (
    b"\0",
    bytes.fromhex("0000c07f"),  # NaN in F32
    bytes.fromhex("0100807f"),  # a signalling one
    bytes.fromhex("000080ff"),  # -infinity
    bytes.fromhex("007e"),  # NaN in F16
    bytes.fromhex("c07f"),  # NaN in BF16
    bytes.fromhex("807f"),  # infinity in BF16
)


def mutate(random: Random, data: bytes) -> bytes:
    header, body = _split(data)
    try:
        tree = parse(header)
        for _ in range(random.choice((1, 1, 2, 3))):
            _change(random, tree)
        if random.random() < 0.8:
            body = _lay_out(random, tree, body)
        header = dump(tree, escaped=random.random() < 0.7)
    except (ValueError, RecursionError):
        header = raw.mutate(random, header)
    return _lie(random, header, body)


def _split(data: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(data[:8], "little")
    return data[8 : 8 + length], data[8 + length :]


def _lie(random: Random, header: bytes, body: bytes) -> bytes:
    """Mostly the truth."""
    length = len(header)
    match random.randrange(40):
        case 0:
            length = random.choice((0, 1, 2, length - 1, length + 1, 2**24, 2**24 + 1, 2**64 - 1))
        case 1:
            body = body[: random.randrange(len(body) + 1)]
        case 2:
            body += random.randbytes(random.randint(1, 9))
        case 3:
            header += b" " * random.randint(0, 9)
            length = len(header)
        case 4:
            return raw.mutate(random, struct.pack("<Q", length) + header + body)
    return struct.pack("<Q", max(length, 0)) + header + body


def _change(random: Random, tree: Any) -> None:
    if not isinstance(tree, Object):
        return
    tensors = [pair for pair in tree.pairs if isinstance(pair[1], Object)]
    match random.randrange(16):
        case 0 | 1 | 2:
            _add_pair(random, tree)
        case 3:
            shape = random.choice(("[]", "[0]", "[8]", "[2,3]", "[0,9223372036854775807]"))
            tree.pairs.append((some_name(random), _tensor(random.choice(_DTYPES), shape)))
        case 4:
            metadata = random.choice((Object([(some_name(random), "pt")]), some_value(random)))
            tree.pairs = [pair for pair in tree.pairs if pair[0] != "__metadata__"]
            tree.pairs.append(("__metadata__", metadata))
        case 5 | 6:
            random.shuffle(tree.pairs)
        case 7 | 8 | 9 if tensors:
            dtype = random.choice(_DTYPES)
            for _, tensor in tensors if random.random() < 0.5 else [random.choice(tensors)]:
                _set(tensor, "dtype", dtype)
        case 10 | 11 if tensors:
            _resize(random, random.choice(tensors)[1])
        case 12 if tensors:
            at = tree.pairs.index(random.choice(tensors))
            tree.pairs[at] = (near_name(random, tree.pairs[at][0]), tree.pairs[at][1])
        case 13 if len(tensors) > 1:
            tree.pairs.remove(random.choice(tensors))
        case _:
            change_anything(random, tree)


def _add_pair(random: Random, tree: Object) -> None:
    names = some_pair(random)
    shapes = ("[2,1]", "[1,2]") if "experts" in names[0] else ("[2,6]", "[8,2]")
    if random.random() < 0.2:
        shapes = random.choice((("[3,6]", "[8,3]"), ("[6,2]", "[2,8]"), ("[513,1]", "[1,513]")))
    for name, shape in zip(names, shapes, strict=True):
        tree.pairs.append((name, _tensor(random.choice(_DTYPES), shape)))


def _tensor(dtype: str, shape: str) -> Object:
    return Object([("dtype", dtype), ("shape", parse(shape.encode())), ("data_offsets", [])])


def _set(tensor: Object, name: str, value: Any) -> None:
    tensor.pairs = [pair for pair in tensor.pairs if pair[0] != name] + [(name, value)]


def _resize(random: Random, tensor: Object) -> None:
    shape = dict(tensor.pairs).get("shape")
    if not isinstance(shape, list) or not shape:
        return
    at = random.randrange(len(shape))
    match random.randrange(4):
        case 0:
            shape[at] = near_number(random, str(shape[at]))
        case 1:
            shape[at] = Number(random.randint(0, 9))
        case 2:
            shape.insert(at, Number(random.randint(0, 2)))
        case _:
            del shape[at]


def _lay_out(random: Random, tree: Any, body: bytes) -> bytes:
    """Offsets that fit dtypes and shapes, one tensor after the other; the body they ask for."""
    position = 0
    for _, tensor in tree.pairs if isinstance(tree, Object) else []:
        size = _size(tensor)
        if size is not None:
            _set(tensor, "data_offsets", [Number(position), Number(position + size)])
            position += size
    if random.random() < 0.1:
        word = random.choice(_WORDS)
        at = random.randrange(len(body) + 1)
        body = body[:at] + word * random.choice((1, 1, 1000)) + body[at:]
    return body[:position].ljust(min(position, _LARGEST), b"\0")


def _size(tensor: Any) -> int | None:
    """The bytes that a tensor takes, None if it says nothing that can be reckoned with."""
    if not isinstance(tensor, Object):
        return None
    fields = dict(tensor.pairs)
    dtype, shape = fields.get("dtype"), fields.get("shape")
    if not isinstance(dtype, str) or dtype not in _SIZES or not isinstance(shape, list):
        return None
    if not all(isinstance(size, Number) and size.isdecimal() and len(size) < 30 for size in shape):
        return None
    return prod(map(int, shape)) * _SIZES[dtype]
