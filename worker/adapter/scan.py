"""One pass over the weights' bytes: their digest, and what only the bytes can tell."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from core.errors import EngineError
from core.report import FileFacts
from core.safetensors_header import DTYPE_BYTES, TensorInfo
from worker.adapter.files import Header

CHUNK = 2**20  # bytes; what a core's cache holds

_WORDS = {2: (np.int16, np.uint16), 4: (np.int32, np.uint32)}  # by bytes an element
# The bits of +infinity: NaNs are the words above it, and above -infinity with the sign bit set.
_INFINITY = {"F16": 0x7C00, "BF16": 0x7F80, "F32": 0x7F800000}


@dataclass(frozen=True)
class Scan:
    """`non_finite`: the tensors asked about that hold NaN or infinities; `sha256` of each tensor
    whose digest was asked for."""

    facts: FileFacts
    non_finite: frozenset[str]
    sha256: Mapping[str, str]


def scan_tensors(
    path: Path, header: Header, *, finite: Collection[str], digests: Collection[str]
) -> Scan:
    """Read the file once, in chunks; memory stays flat whatever its size."""
    whole = hashlib.sha256()
    non_finite, sha256 = set(), {}
    buffer = memoryview(bytearray(CHUNK))
    with path.open("rb", buffering=0) as file:
        for chunk in _chunks(file, header.body, buffer):
            whole.update(chunk)
        for name, tensor in header.tensors.items():
            own = hashlib.sha256() if name in digests else None
            check = name in finite
            for chunk in _chunks(file, tensor.end - tensor.start, buffer):
                whole.update(chunk)
                if own:
                    own.update(chunk)
                if check and not is_finite(chunk, tensor):
                    non_finite.add(name)
            if own:
                sha256[name] = own.hexdigest()
        size = file.tell()
    facts = FileFacts(name=path.name, size=size, sha256=whole.hexdigest())
    return Scan(facts, frozenset(non_finite), sha256)


def is_finite(data: memoryview, tensor: TensorInfo) -> bool:
    """True if none of these elements of the tensor is NaN or infinite, told by their bits.

    The largest word, read once with a sign and once without, is the largest positive and the
    largest negative number's: two reads at the memory's speed and nothing allocated.
    """
    if not data:
        return True
    signed, unsigned = _WORDS[DTYPE_BYTES[tensor.dtype]]
    infinity = _INFINITY[tensor.dtype]
    sign = 1 << (8 * DTYPE_BYTES[tensor.dtype] - 1)
    positive = int(np.frombuffer(data, signed).max())
    negative = int(np.frombuffer(data, unsigned).max())
    return positive < infinity and negative < sign + infinity


def _chunks(file: BinaryIO, size: int, buffer: memoryview) -> Iterator[memoryview]:
    """The next `size` bytes, each chunk good until the next is asked for."""
    left = size
    while left:
        wanted = buffer[: min(left, len(buffer))]
        filled = 0
        while filled < len(wanted):
            read = file.readinto(wanted[filled:])  # type: ignore[attr-defined]
            if not read:
                raise EngineError(
                    "the upload shrank while it was read: nothing was published; run the job again",
                    code="input_changed",
                )
            filled += read
        left -= filled
        yield wanted
