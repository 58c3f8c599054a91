"""The header check: what safetensors writes passes, and what it would read otherwise does not."""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors import deserialize as read_by_safetensors
from safetensors.torch import save

from core.safetensors_header import (
    DTYPE_BYTES,
    LENGTH_BYTES,
    MAX_HEADER_BYTES,
    HeaderError,
    header_length,
    parse_header,
)

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
NAMES = st.text(max_size=12).filter(lambda name: name != "__metadata__")
TENSORS = st.dictionaries(
    NAMES,
    st.tuples(st.sampled_from(sorted(DTYPES)), st.lists(st.integers(0, 4), max_size=4)),
    max_size=6,
)
# Not empty: of no tensors and no metadata, safetensors 0.8 writes `{},"__metadata__":{}}`.
METADATA = st.none() | st.dictionaries(NAMES, st.text(max_size=8), min_size=1, max_size=3)
Described = dict[str, tuple[str, tuple[int, ...], bytes]]


def written(tensors: Mapping[str, tuple[str, Sequence[int]]], **options: Any) -> bytes:
    """A file by safetensors' own writer, each byte of its body another number."""
    made = {
        name: torch.arange(index, index + torch.Size(shape).numel())
        .reshape(shape)
        .to(DTYPES[dtype])
        for index, (name, (dtype, shape)) in enumerate(tensors.items())
    }
    return save(made, **options)


def split(file: bytes) -> tuple[bytes, bytes]:
    end = LENGTH_BYTES + header_length(file)
    return file[LENGTH_BYTES:end], file[end:]


def joined(header: bytes, body: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + body


def ours(header: bytes, body: bytes) -> Described:
    """Dtype, shape and bytes of each tensor by our reading. Raises `HeaderError`, nothing else."""
    parsed = parse_header(header, len(body))
    return {n: (t.dtype, t.shape, body[t.start : t.end]) for n, t in parsed.items()}


def theirs(header: bytes, body: bytes) -> Described:
    """The same by safetensors' own reading. Raises `SafetensorError`."""
    return {
        name: (info["dtype"], tuple(info["shape"]), bytes(info["data"]))
        for name, info in read_by_safetensors(joined(header, body))  # type: ignore[no-untyped-call]
    }


def read_alike(header: bytes, body: bytes) -> bool:
    """Whether we accept it; if so, safetensors reads the very same tensors."""
    try:
        mine = ours(header, body)
    except HeaderError:
        return False
    try:
        assert mine == theirs(header, body)
    except SafetensorError as error:
        raise AssertionError(f"accepted, and safetensors refuses it: {error}") from error
    return True


@settings(max_examples=200, deadline=None)
@given(TENSORS, METADATA)
def test_every_file_of_safetensors_own_writer_is_accepted(
    tensors: dict[str, tuple[str, list[int]]], metadata: dict[str, str] | None
) -> None:
    """With the same names, dtypes, shapes and bytes."""
    header, body = split(written(tensors, metadata=metadata))
    assert read_alike(header, body)
    shapes = {n: (dtype, tuple(shape)) for n, (dtype, shape) in tensors.items()}
    assert {n: d[:2] for n, d in ours(header, body).items()} == shapes


EXAMPLE = split(
    written(
        {
            "a.lora_A.weight": ("F32", [2, 3]),
            "a.lora_B.weight": ("F16", [4, 2]),
            "c": ("BF16", [0]),
        },
        metadata={"format": "pt"},
    )
)
POSITIONS = st.integers(0, len(EXAMPLE[0]))
JSON_PIECES = ('"', "\\", "{", "}", "[", "]", ",", ":", "-", "0", "1", "9", ".0", "e0", " ", "\n")
OTHER_PIECES = ("\\u0061", "\\ud800", "null", "true", "\x00", "é", "__metadata__")
PIECES = st.binary(min_size=1, max_size=3) | st.sampled_from(
    [piece.encode() for piece in (*JSON_PIECES, *OTHER_PIECES)]
)
MUTATIONS = st.lists(
    st.tuples(st.sampled_from(["flip", "insert", "delete", "overwrite"]), POSITIONS, PIECES),
    min_size=1,
    max_size=3,
)


def mutate(header: bytes, mutations: list[tuple[str, int, bytes]]) -> bytes:
    data = bytearray(header)
    for kind, position, piece in mutations:
        if kind == "flip" and position < len(data):
            data[position] ^= piece[0]
        elif kind == "insert":
            data[position:position] = piece
        elif kind == "delete":
            del data[position : position + len(piece)]
        else:
            data[position : position + len(piece)] = piece
    return bytes(data)


@settings(max_examples=1500, deadline=None)
@given(MUTATIONS)
def test_mutated_header_is_refused_or_read_as_safetensors_reads_it(
    mutations: list[tuple[str, int, bytes]],
) -> None:
    """Bytes flipped, put in or taken out: `HeaderError`, or one and the same set of tensors."""
    header, body = EXAMPLE
    read_alike(mutate(header, mutations), body)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60).map(lambda data: b'{"a":' + data))
@example(b'{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}')
@example(b'{"a\\ud800":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}')
@example(b'{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}')
def test_invented_header_is_refused_or_read_as_safetensors_reads_it(header: bytes) -> None:
    """Whatever follows a brace: `HeaderError`, or one and the same set of tensors."""
    read_alike(header, b"\x01\x02\x03\x04")


FIELDS = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "F64", "I8", "f32", "", 1, None]),
        "shape": st.lists(st.integers(-1, 3) | st.sampled_from([2**62, 2**63, 2**64]), max_size=3),
        "data_offsets": st.lists(st.integers(-1, 9), min_size=1, max_size=3),
    },
    optional={"extra": st.none()},
)


@settings(max_examples=1500, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "c", "__metadata__"]), FIELDS, max_size=3))
def test_invented_tensors_are_refused_or_read_as_safetensors_reads_them(
    tensors: dict[str, Any],
) -> None:
    """Offsets and shapes at random, holes, overlaps and overflows among them."""
    header = json.dumps(tensors).encode()
    for size in (0, 4, 8):
        try:
            mine = ours(header, bytes(range(size)))
        except HeaderError:
            continue
        assert overflows(tensors) or mine == theirs(header, bytes(range(size)))


def overflows(tensors: Mapping[str, Any]) -> bool:
    """A size of zero beside one of 2^62: no bytes to us, an overflow to safetensors, which then
    refuses what we accept. No module has such a shape, so the gate refuses it next."""
    return any(max(fields["shape"], default=0) >= 2**62 for fields in tensors.values())


def test_cut_header_is_refused() -> None:
    """No part of a header is taken for the whole."""
    header, body = EXAMPLE
    for cut in range(len(header.rstrip())):
        with pytest.raises(HeaderError):
            parse_header(header[:cut], len(body))


@pytest.mark.parametrize("missing", range(1, 8))
def test_prefix_that_ends_early_is_a_truncated_file(missing: int) -> None:
    """Fewer than eight bytes hold no length."""
    with pytest.raises(HeaderError) as error:
        header_length(bytes(LENGTH_BYTES - missing))
    assert error.value.code == "truncated_file"


@pytest.mark.parametrize("length", [0, 1, MAX_HEADER_BYTES + 1, 2**32, 2**63, 2**64 - 1])
def test_absurd_length_is_refused_before_anything_is_read(length: int) -> None:
    """A reader that believed it would allocate as much."""
    with pytest.raises(HeaderError) as error:
        header_length(struct.pack("<Q", length))
    assert error.value.code == "header_invalid"


@pytest.mark.parametrize("length", [2, MAX_HEADER_BYTES])
def test_length_within_the_cap_is_read(length: int) -> None:
    """Little-endian, from the first eight bytes only."""
    assert header_length(struct.pack("<Q", length) + b"{") == length


def test_body_of_another_size_is_named_for_what_it_is() -> None:
    """Too short is a truncated file; too long carries what no tensor owns."""
    header, body = EXAMPLE
    with pytest.raises(HeaderError) as error:
        parse_header(header, len(body) - 1)
    assert error.value.code == "truncated_file"
    with pytest.raises(HeaderError, match="1 bytes after the last tensor") as error:
        parse_header(header, len(body) + 1)
    assert error.value.code == "header_invalid"


def test_tensors_come_in_the_order_of_their_bytes() -> None:
    """Whatever the order of their names."""
    header = json.dumps(
        {
            "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
            "a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]},
        }
    ).encode()
    assert list(parse_header(header, 8)) == ["a", "b"]


def test_dtypes_are_those_that_can_be_projected() -> None:
    """Three, with the sizes that torch gives them."""
    assert {name: dtype.itemsize for name, dtype in DTYPES.items()} == DTYPE_BYTES


@pytest.mark.parametrize("filler", [b"[]", b"{}", b"0", b'""'])
def test_a_header_of_too_many_values_is_refused_unparsed(filler: bytes) -> None:
    """A list takes three bytes in JSON and a hundred in memory: they are counted first."""
    header = b'{"a":[' + b",".join([filler] * 1_000_000) + b"]}"
    with pytest.raises(HeaderError, match="more than 65536 tensors"):
        parse_header(header, 0)


def test_a_name_longer_than_any_real_one_is_refused() -> None:
    """256 characters are let in, 257 not."""
    entry = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    assert parse_header(f'{{"{"n" * 256}":{entry}}}'.encode(), 0)
    with pytest.raises(HeaderError, match="257 characters"):
        parse_header(f'{{"{"n" * 257}":{entry}}}'.encode(), 0)
