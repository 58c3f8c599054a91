"""Reading a range of a remote file over several connections at once, ahead of who reads it."""

import io
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, BinaryIO, cast
from weakref import WeakSet

from core.errors import StoreError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE = 8 << 20  # bytes: large beside what one request costs in time
IN_FLIGHT = 4

_BLOCK = 1 << 20
_CLOSING = 1.0  # seconds

Piece = Future[bytearray]
"""Never marked as running, so that it can be cancelled, or fail, while it is read."""


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
    together. Each stream holds `IN_FLIGHT` + 1 pieces in memory at most.

    No one else ever waits for the network: where that is silent, whoever reads is still told at
    once that this was closed. For the same reason the threads are daemons.
    """

    def __init__(self, piece: int = PIECE) -> None:
        self._piece = piece
        self._asked: SimpleQueue[tuple[Piece, OpenRange, int, int] | None] = SimpleQueue()
        self._pieces: WeakSet[Piece] = WeakSet()
        self._closed = False
        self._lock = Lock()
        self._threads = [
            Thread(target=_fetch_all, args=(self._asked,), name=f"read-ahead-{i}", daemon=True)
            for i in range(IN_FLIGHT)
        ]
        for thread in self._threads:
            thread.start()

    def open(self, open_range: OpenRange, start: int, end: int) -> BinaryIO:
        """The bytes from `start` up to `end`, each asked for once; to be closed by the caller."""
        return cast("BinaryIO", AheadStream(self, self._piece, open_range, start, end))

    def ask(self, open_range: OpenRange, start: int, end: int) -> Piece:
        piece: Piece = Future()
        with self._lock:
            if self._closed:
                raise _closed()
            self._pieces.add(piece)
        self._asked.put((piece, open_range, start, end))
        return piece

    def close(self) -> None:
        """Ends every read with a `StoreError`, and waits a second at most for the threads: each
        stops at its next block, or when its connection is cut."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            pieces = list(self._pieces)
        for piece in pieces:
            with suppress(InvalidStateError):  # it has come
                piece.set_exception(_closed())
        for _ in self._threads:
            self._asked.put(None)
        patience = time.monotonic() + _CLOSING
        for thread in self._threads:
            thread.join(max(0.0, patience - time.monotonic()))


class AheadStream(RemoteStream):
    """The pieces in order. What reading a piece raised is raised where that piece begins."""

    def __init__(
        self, ahead: ReadAhead, piece: int, open_range: OpenRange, start: int, end: int
    ) -> None:
        self._ahead = ahead
        self._size = piece
        self._open_range = open_range
        self._asked = start
        self._end = end
        self._pieces: deque[Piece] = deque()
        self._left = memoryview(b"")
        for _ in range(IN_FLIGHT):
            self._ask()

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        if not self._left and self._pieces:
            try:
                piece = self._pieces[0].result()  # left in the queue where it raises: it will again
            except CancelledError:
                raise _closed() from None
            self._pieces.popleft()
            self._left = memoryview(piece)
            self._ask()
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        for piece in self._pieces:
            piece.cancel()
        self._pieces.clear()
        self._left = memoryview(b"")
        super().close()

    def _ask(self) -> None:
        start, end = self._asked, min(self._asked + self._size, self._end)
        if start < end:
            self._pieces.append(self._ahead.ask(self._open_range, start, end))
            self._asked = end


def _fetch_all(asked: SimpleQueue[tuple[Piece, OpenRange, int, int] | None]) -> None:
    while task := asked.get():
        _fetch(*task)
        del task  # the piece is its reader's alone


def _fetch(piece: Piece, open_range: OpenRange, start: int, end: int) -> None:
    if piece.done():
        return
    with suppress(InvalidStateError):  # nobody waits for it any more
        try:
            piece.set_result(_fetched(piece, open_range, start, end))
        except InvalidStateError:
            raise
        except BaseException as error:  # noqa: BLE001  (raised where the piece is read)
            piece.set_exception(error)


def _fetched(piece: Piece, open_range: OpenRange, start: int, end: int) -> bytearray:
    """The bytes; what there is of them once nobody waits any more."""
    data = bytearray(end - start)
    view, filled = memoryview(data), 0
    with open_range(start, end) as stream:
        while filled < len(data) and not piece.done():
            count = stream.readinto(view[filled : filled + _BLOCK])
            if not count:
                raise StoreError(
                    f"a range of {end - start} bytes ended after {filled}",
                    code="source_unavailable",
                )
            filled += count
    return data


def _closed() -> StoreError:
    return StoreError("the checkpoint was closed while it was read", code="source_unavailable")
