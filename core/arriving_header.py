"""A safetensors file judged while it arrives: what is wrong with its header is known at once."""

from collections.abc import Mapping
from typing import Final

from core.errors import AdapterRejected
from core.findings import Finding, Kind, finding
from core.foreign_formats import foreign_format, told_from
from core.safetensors_header import (
    LENGTH_BYTES,
    HeaderError,
    TensorInfo,
    check_body,
    header_length,
    parse_header,
    truncated_header,
)

HELD: Final = 2**20
"""Bytes of a header that are held here; a longer one, which no adapter of use has, is left to the
worker, so that what many uploads hold stays small."""

_SMALLEST: Final = LENGTH_BYTES + 1  # the length, and the brace that tells it from a pickle


def header_finding(error: HeaderError, filename: str) -> Finding:
    """What is wrong, said of the tensor at fault or else of the file."""
    kind: Kind = "tensor" if error.tensor else "file"
    return finding(error.code, kind, error.tensor or filename, str(error))


class ArrivingHeader:
    """Takes the file's bytes in order, in blocks of any size.

    The verdict depends on the bytes alone, never on how they were cut: it falls at the byte with
    which it is certain.
    """

    def __init__(self, filename: str) -> None:
        self._filename = filename
        self._held = bytearray()
        self._needed = _SMALLEST
        self._size = 0
        self._body: int | None = None  # where it begins, once that is known
        self._tensors: Mapping[str, TensorInfo] | None = None
        self._end = 0  # of the last tensor, once they are known
        self._left_out = False

    def write(self, data: memoryview) -> None:
        """Raises `AdapterRejected`."""
        self._size += len(data)
        while self._tensors is None and not self._left_out:
            taken = data[: self._needed - len(self._held)]
            self._held += taken
            data = data[len(taken) :]
            if len(self._held) < self._needed:
                return
            self._judge()
        if self._tensors is not None and self._size > self._end:
            raise self._rejected("header_invalid", "there are bytes after the last tensor")

    def finish(self) -> None:
        """The file ends here. Raises `AdapterRejected`."""
        try:
            if self._tensors is not None and self._body is not None:
                check_body(self._tensors, self._size - self._body)
            elif not self._left_out:
                self._check_foreign()
                header_length(bytes(self._held))
                raise truncated_header()
        except HeaderError as error:
            raise AdapterRejected([header_finding(error, self._filename)]) from error

    def _judge(self) -> None:
        """What can be told of the bytes held: an end of it, or how many more are needed."""
        if self._body is None:
            self._needed = told_from(bytes(self._held))
            if len(self._held) < self._needed:
                return
            self._check_foreign()
        try:
            if self._body is None:
                self._begin()
            else:
                self._tensors = parse_header(bytes(self._held[LENGTH_BYTES:]), None)
                self._end = self._body + max((t.end for t in self._tensors.values()), default=0)
                self._held.clear()
        except HeaderError as error:
            raise AdapterRejected([header_finding(error, self._filename)]) from error

    def _begin(self) -> None:
        length = header_length(bytes(self._held))
        if self._held[LENGTH_BYTES:_SMALLEST] != b"{":
            raise HeaderError("the header does not begin with '{'")
        self._body = LENGTH_BYTES + length
        self._needed = self._body
        if length > HELD:
            self._left_out = True
            self._held.clear()

    def _check_foreign(self) -> None:
        foreign = foreign_format(bytes(self._held))
        if foreign is not None:
            raise self._rejected(foreign)

    def _rejected(self, code: str, detail: str = "") -> AdapterRejected:
        return AdapterRejected([finding(code, "file", self._filename, detail)])
