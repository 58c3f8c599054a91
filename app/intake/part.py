"""One part of a form while it arrives."""

import hashlib
from collections.abc import Callable
from typing import Protocol

from core.arriving_header import ArrivingHeader
from core.errors import TooLarge, Unprocessable


class Sink(Protocol):
    def write(self, data: memoryview, /) -> object: ...


class Part:
    """Bytes on their way to `sink`, counted, hashed and held against `header`. `close` lets go of
    the sink, however far it came."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        close: Callable[[], None],
        max_bytes: int,
        header: ArrivingHeader | None = None,
    ) -> None:
        self.name = name
        self.size = 0
        self.close = close
        self._sink = sink
        self._max = max_bytes
        self._header = header
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: memoryview) -> None:
        """Raises `TooLarge` (`part_too_large`) or `AdapterRejected`."""
        self.size += len(data)
        if self.size > self._max:
            raise TooLarge(
                f"the part {self.name} is larger than the {self._max} bytes accepted for it",
                code="part_too_large",
                field=self.name,
                limit=self._max,
            )
        if self._header is not None:
            self._header.write(data)
        self._digest.update(data)
        self._sink.write(data)

    def check(self) -> None:
        """The part is at its end. Raises `Unprocessable` (`part_empty`) or `AdapterRejected`."""
        if not self.size:
            raise Unprocessable(
                f"the part {self.name} holds no bytes: send the file again",
                code="part_empty",
                field=self.name,
            )
        if self._header is not None:
            self._header.finish()
