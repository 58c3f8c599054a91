"""Reading ahead gives the same bytes, asks for each once, holds few, and lets go."""

import threading
from contextlib import closing
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import StoreError
from worker.alignment.checkpoint_files.ahead import IN_FLIGHT, ReadAhead, RemoteStream

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

DATA = bytes(i * 7 % 251 for i in range(1_000))


class Wire(RemoteStream):
    """A range of DATA, a few bytes at a time."""

    def __init__(self, start: int, end: int) -> None:
        self.bytes = BytesIO(DATA[start:end])

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        return self.bytes.readinto(view[:13])


@given(
    bounds=st.tuples(st.integers(0, 1_000), st.integers(0, 1_000)),
    piece=st.integers(1, 300),
    reads=st.lists(st.integers(1, 400), max_size=40),
)
def test_bytes_are_those_of_the_range_each_asked_for_once(
    bounds: tuple[int, int], piece: int, reads: list[int]
) -> None:
    """In order, however the range is cut and whatever sizes are read."""
    asked: list[tuple[int, int]] = []

    def open_range(start: int, end: int) -> RemoteStream:
        asked.append((start, end))
        return Wire(start, end)

    start, end = bounds
    with closing(ReadAhead(piece)) as ahead, ahead.open(open_range, start, end) as stream:
        got = b"".join(stream.read(size) for size in reads)
        assert DATA[start:end].startswith(got)
        assert got + stream.read() == DATA[start:end]
        assert stream.read(1) == b""
    assert sorted(i for a, b in asked for i in range(a, b)) == list(range(start, end))


def test_no_more_is_held_than_pieces_in_flight_and_one() -> None:
    """Who reads slowly is not run ahead of."""
    opened = 0
    lock = threading.Lock()

    def open_range(start: int, end: int) -> RemoteStream:
        nonlocal opened
        with lock:
            opened += 1
        return Wire(start, end)

    with closing(ReadAhead(10)) as ahead, ahead.open(open_range, 0, 1_000) as stream:
        for taken in range(1, 50):
            stream.read(10)
            assert opened <= taken + IN_FLIGHT


def test_error_is_raised_where_its_piece_begins_and_again() -> None:
    """What came before it is given out; what comes after never is."""

    def open_range(start: int, end: int) -> RemoteStream:
        if start >= 500:
            raise StoreError(f"no {start}")
        return Wire(start, end)

    with closing(ReadAhead(100)) as ahead, ahead.open(open_range, 0, 1_000) as stream:
        assert b"".join(stream.read(100) for _ in range(5)) == DATA[:500]
        for _ in range(2):
            with pytest.raises(StoreError, match="no 500"):
                stream.read(100)


def test_range_that_ends_early_is_an_error() -> None:
    """Never fewer bytes without a word: the sizes were pinned."""
    held = closing(ReadAhead(600))
    with held as ahead, ahead.open(Wire, 0, 1_200) as stream, pytest.raises(StoreError) as caught:
        stream.read()
    assert caught.value.code == "source_unavailable"


def test_closing_early_stops_what_is_in_flight() -> None:
    """No piece is asked for after, those that are end at their next block, no thread is left."""
    before = threading.active_count()
    started, go_on = threading.Semaphore(0), threading.Event()
    reads = 0

    class Slow(Wire):
        def readinto(self, buffer: "WriteableBuffer", /) -> int:
            nonlocal reads
            started.release()
            go_on.wait()
            reads += 1
            return super().readinto(buffer)

    ahead = ReadAhead(100)
    stream = ahead.open(Slow, 0, 1_000)
    for _ in range(IN_FLIGHT):
        started.acquire()
    stream.close()
    go_on.set()
    ahead.close()
    assert reads == IN_FLIGHT
    assert threading.active_count() == before
