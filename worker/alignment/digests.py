"""The SHA-256 of each tensor of a checkpoint, from its files: bytes are bytes in any dtype."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.alignments import WeightDigest
from core.canonical import parse_json_strictly
from core.errors import AlignmentError
from core.safetensors_header import LENGTH_BYTES

CHUNK = 4 * 2**20  # bytes in memory at a time, however large a tensor is


@dataclass(frozen=True)
class Span:
    """A tensor as it lies in a file: `start` to `end`, counted from the file's first byte."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class WeightDigests(Mapping[str, WeightDigest]):
    """Digests by tensor name, each made when it is first asked for, and once.

    `names`: what a weight may be called, and the tensor it is, as `lm_head.weight` where the head
    is tied to an embedding; a tensor's own name goes first. Iterating follows the bytes of one file
    after the other, so that all digests take one sequential read. `files` are ones that safetensors
    has opened, which checks their layout. Raises `AlignmentError` (`checkpoint_unreadable`).
    """

    def __init__(self, files: Sequence[Path], names: Mapping[str, str]) -> None:
        self._spans = {name: span for file in files for name, span in _spans(file)}
        self._names = {name: name for name in self._spans}
        self._names |= {name: names[name] for name in sorted(names.keys() - self._spans.keys())}
        self._made: dict[str, WeightDigest] = {}

    def __getitem__(self, name: str) -> WeightDigest:
        tensor = self._names[name]
        if tensor not in self._made:
            self._made[tensor] = _digest(self._spans[tensor])
        return self._made[tensor]

    def kind(self, name: str) -> tuple[str, tuple[int, ...]] | None:
        """Dtype and shape of the tensor, from the header alone; None if there is none."""
        tensor = self._names.get(name)
        return None if tensor is None else (self._spans[tensor].dtype, self._spans[tensor].shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _spans(file: Path) -> list[tuple[str, Span]]:
    """Every tensor of the file, in the order of their bytes."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(LENGTH_BYTES), "little")
        header = opened.read(length)
    try:
        tensors: dict[str, Any] = parse_json_strictly(header)
    except ValueError as error:  # safetensors lets a name stand twice
        raise AlignmentError(
            f"the header of {file} is not one that every reader understands alike: {error}",
            code="checkpoint_unreadable",
        ) from error
    tensors.pop("__metadata__", None)
    body = LENGTH_BYTES + length
    spans = [(name, _span(file, fields, body)) for name, fields in tensors.items()]
    return sorted(spans, key=lambda item: (item[1].start, item[1].end))


def _span(file: Path, fields: dict[str, Any], body: int) -> Span:
    start, end = fields["data_offsets"]
    return Span(file, fields["dtype"], tuple(fields["shape"]), body + start, body + end)


def _digest(span: Span) -> WeightDigest:
    sha256 = hashlib.sha256()
    buffer = memoryview(bytearray(min(CHUNK, span.end - span.start)))
    left = span.end - span.start
    with span.file.open("rb", buffering=0) as file:
        file.seek(span.start)
        while left:
            read = file.readinto(buffer[:left])
            if not read:
                raise AlignmentError(
                    f"{span.file} ends before its tensors do: it was cut after it was opened",
                    code="checkpoint_unreadable",
                )
            sha256.update(buffer[:read])
            left -= read
    return WeightDigest(dtype=span.dtype, shape=list(span.shape), sha256=sha256.hexdigest())
