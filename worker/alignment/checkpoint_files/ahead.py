"""Reading a range of a remote file over several connections at once, ahead of who reads it."""

import io
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, BinaryIO, cast

from core.errors import StoreError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE = 8 << 20  # bytes: large beside what one request costs in time
IN_FLIGHT = 4

_BLOCK = 1 << 20


class RemoteStream(io.RawIOBase):
    """A stream that can only be read on."""

    def readable(self) -> bool:
        return True

    def readall(self) -> bytes:
        # The inherited one asks for 8 KiB at a time.
        return b"".join(iter(lambda: self.read(_BLOCK) or b"", b""))


OpenRange = Callable[[int, int], RemoteStream]
"""A stream of the bytes from the first offset up to the second, over one connection."""


class ReadAhead:
    """The threads that one place is read with: `IN_FLIGHT` pieces at once, of all its streams
    together. Each stream holds `IN_FLIGHT` + 1 pieces in memory at most."""

    def __init__(self, piece: int = PIECE) -> None:
        self._piece = piece
        self._pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="read-ahead")

    def open(self, open_range: OpenRange, start: int, end: int) -> BinaryIO:
        """The bytes from `start` up to `end`, each asked for once; to be closed by the caller."""
        stream: io.IOBase
        if start >= end:
            stream = io.BytesIO()
        elif end - start <= self._piece:
            stream = open_range(start, end)
        else:
            stream = AheadStream(self._pool, self._piece, open_range, start, end)
        return cast("BinaryIO", stream)

    def close(self) -> None:
        """Waits for what is in flight, which stops at its next block where nobody reads it."""
        self._pool.shutdown(cancel_futures=True)


class AheadStream(RemoteStream):
    """The pieces in order. What reading a piece raised is raised where that piece begins."""

    def __init__(
        self, pool: ThreadPoolExecutor, piece: int, open_range: OpenRange, start: int, end: int
    ) -> None:
        self._pool = pool
        self._size = piece
        self._open_range = open_range
        self._asked = start
        self._end = end
        self._abandoned = Event()
        self._pieces: deque[Future[bytearray]] = deque()
        self._left = memoryview(b"")
        for _ in range(IN_FLIGHT):
            self._ask()

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        if not self._left and self._pieces:
            piece = self._pieces[0].result()  # left in the queue where it raises: it will again
            self._pieces.popleft()
            self._left = memoryview(piece)
            self._ask()
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        self._abandoned.set()
        for piece in self._pieces:
            piece.cancel()
        self._pieces.clear()
        self._left = memoryview(b"")
        super().close()

    def _ask(self) -> None:
        start, end = self._asked, min(self._asked + self._size, self._end)
        if start < end:
            self._pieces.append(self._pool.submit(self._fetched, start, end))
            self._asked = end

    def _fetched(self, start: int, end: int) -> bytearray:
        """The bytes; what there is of them once nobody waits any more."""
        piece = bytearray(end - start)
        view, filled = memoryview(piece), 0
        with self._open_range(start, end) as stream:
            while filled < len(piece) and not self._abandoned.is_set():
                count = stream.readinto(view[filled : filled + _BLOCK])
                if not count:
                    raise StoreError(
                        f"a range of {end - start} bytes ended after {filled}",
                        code="source_unavailable",
                    )
                filled += count
        return piece
