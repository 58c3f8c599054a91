"""One part of a form while it arrives."""

import hashlib
from pathlib import Path
from typing import BinaryIO

from core.archives import UnpackedFile
from core.errors import TooLarge, Unprocessable


class Part:
    """Bytes on their way to `sink`, counted and hashed. Closes the sink."""

    def __init__(self, name: str, sink: BinaryIO, max_bytes: int) -> None:
        self.name = name
        self.sink = sink
        self._max = max_bytes
        self._size = 0
        self._digest = hashlib.sha256()

    def write(self, data: memoryview) -> None:
        self._size += len(data)
        if self._size > self._max:
            raise TooLarge(
                f"the part {self.name} is larger than the {self._max} bytes accepted for it",
                code="part_too_large",
                field=self.name,
                limit=self._max,
            )
        self._digest.update(data)
        self.sink.write(data)

    def close(self) -> None:
        self.sink.close()

    def received(self, path: Path) -> UnpackedFile:
        """The finished file. Raises `Unprocessable` (`part_empty`)."""
        if not self._size:
            raise Unprocessable(
                f"the part {self.name} holds no bytes: send the file again",
                code="part_empty",
                field=self.name,
            )
        return UnpackedFile(path, self._size, self._digest.hexdigest())
