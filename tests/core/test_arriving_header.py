"""A safetensors file judged while it arrives: the same verdict however its bytes are cut."""

import io
import json
import pickle
import struct
import zipfile
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.arriving_header import HELD, ArrivingHeader
from core.errors import AdapterRejected
from core.findings import Finding
from core.safetensors_header import MAX_HEADER_BYTES

NAME = "adapter_model.safetensors"


def file_of(header: Any, body: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def tensor(start: int, end: int, **fields: Any) -> dict[str, Any]:
    return {"dtype": "F16", "shape": [(end - start) // 2], "data_offsets": [start, end], **fields}


def zipped(name: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, b"x" * 40)
    return packed.getvalue()


GOOD = file_of({"a": tensor(0, 4), "b": tensor(4, 8)}, bytes(8))
WRONG = {
    "ends within the length": (GOOD[:5], "truncated_file"),
    "ends within the header": (GOOD[:20], "truncated_file"),
    "ends within a tensor": (GOOD[:-1], "truncated_file"),
    "goes on": (GOOD + b"x", "header_invalid"),
    "length of nothing": (struct.pack("<Q", 1) + b"{", "header_invalid"),
    "length beyond all": (struct.pack("<Q", MAX_HEADER_BYTES + 1) + b"{", "header_invalid"),
    "zeros": (bytes(100), "header_invalid"),
    "no brace": (file_of(b"[]" + b" " * 40), "header_invalid"),
    "no json": (file_of(b'{"a": '), "header_invalid"),
    "twice": (file_of(b'{"a": {}, "a": {}}'), "duplicate_key"),
    "overlap": (file_of({"a": tensor(0, 4), "b": tensor(2, 6)}, bytes(6)), "header_invalid"),
    "dtype": (file_of({"a": tensor(0, 4, dtype="I64")}, bytes(4)), "dtype_unsupported"),
    "pickle": (pickle.dumps({"a": [1.0] * 20}, protocol=4), "pickle_file"),
    "short pickle": (b"\x80\x04N.", "pickle_file"),
    "torch zip": (zipped("archive/data.pkl"), "pickle_file"),
    "npz": (zipped("a.npy"), "npz_file"),
    "gguf": (b"GGUF\x03\0\0\0" + bytes(40), "gguf_file"),
    "four bytes of gguf": (b"GGUF", "gguf_file"),
}


def verdict(data: bytes, cuts: list[int]) -> Finding | None:
    """What is found in these bytes, cut there; the position at which it fell is not looked at."""
    header = ArrivingHeader(NAME)
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    try:
        for start, end in pairwise(edges):
            header.write(memoryview(data)[start:end])
        header.finish()
    except AdapterRejected as error:
        [found] = error.findings
        return found
    return None


CUTS = st.lists(st.integers(0, 2000), max_size=12)


@pytest.mark.parametrize("what", WRONG)
@given(cuts=CUTS)
def test_wrong_files_are_named_however_they_are_cut(what: str, cuts: list[int]) -> None:
    """The finding is the one of the file in a single block."""
    data, code = WRONG[what]
    whole = verdict(data, [])
    assert whole is not None
    assert whole.code == code
    assert verdict(data, cuts) == whole


@given(cuts=CUTS)
def test_a_good_file_passes_however_it_is_cut(cuts: list[int]) -> None:
    """Byte by byte too."""
    assert verdict(GOOD, cuts) is None
    assert verdict(GOOD, list(range(len(GOOD)))) is None


@given(data=st.binary(max_size=80) | st.binary(max_size=40).map(file_of), cuts=CUTS)
@example(data=b"PK\x03\x04" + b"\xff" * 24, cuts=[9])
@example(data=struct.pack("<Q", 640) + b"{", cuts=[])
def test_any_bytes_have_one_verdict(data: bytes, cuts: list[int]) -> None:
    """Noise, and noise behind a right length."""
    assert verdict(data, cuts) == verdict(data, [])


@pytest.mark.parametrize(
    ("data", "within"),
    [
        (struct.pack("<Q", 2**40) + b"{", 9),
        (struct.pack("<Q", 100) + b"<", 9),
        (b"\x80\x05\x95" + bytes(30), 9),
        (file_of(b'{"a": '), 14),
        (GOOD + b"x", len(GOOD) + 1),
    ],
)
def test_it_falls_with_the_byte_that_makes_it_certain(data: bytes, within: int) -> None:
    """Whoever sends on byte by byte is stopped there."""
    header = ArrivingHeader(NAME)
    for position in range(within - 1):
        header.write(memoryview(data)[position : position + 1])
    with pytest.raises(AdapterRejected):
        header.write(memoryview(data)[within - 1 : within])


def test_a_header_longer_than_is_held_is_left_to_the_worker() -> None:
    """Many uploads at once must not hold much; its length and first byte are checked all the
    same."""
    data = file_of(b"{" + b"?" * (HELD + 1))
    assert verdict(data, [10, 5000]) is None
    wrong = file_of(b"?" * (HELD + 1))
    assert verdict(wrong, [10, 5000]) is not None
