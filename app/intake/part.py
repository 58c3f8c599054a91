"""One part of a form while it arrives."""

import hashlib
from pathlib import Path
from typing import BinaryIO

from core.archives import UnpackedFile
from core.arriving_header import ArrivingHeader
from core.errors import TooLarge, Unprocessable


class Part:
    """Bytes on their way to `sink`, counted, hashed and held against `header`. Closes the sink."""

    def __init__(
        self, name: str, sink: BinaryIO, max_bytes: int, header: ArrivingHeader | None = None
    ) -> None:
        self.name = name
        self.sink = sink
        self._max = max_bytes
        self._header = header
        self._size = 0
        self._digest = hashlib.sha256()

    def write(self, data: memoryview) -> None:
        """Raises `TooLarge` (`part_too_large`) or `AdapterRejected`."""
        self._size += len(data)
        if self._size > self._max:
            raise TooLarge(
                f"the part {self.name} is larger than the {self._max} bytes accepted for it",
                code="part_too_large",
                field=self.name,
                limit=self._max,
            )
        if self._header is not None:
            self._header.write(data)
        self._digest.update(data)
        self.sink.write(data)

    def close(self) -> None:
        self.sink.close()

    def received(self, path: Path) -> UnpackedFile:
        """The finished file. Raises `Unprocessable` (`part_empty`) or `AdapterRejected`."""
        if not self._size:
            raise Unprocessable(
                f"the part {self.name} holds no bytes: send the file again",
                code="part_empty",
                field=self.name,
            )
        if self._header is not None:
            self._header.finish()
        return UnpackedFile(path, self._size, self._digest.hexdigest())
