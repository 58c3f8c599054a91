"""Modules that are made side by side: each once, few at a time, and no error lost."""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from typing import TypeVar

import pytest
import torch

from worker.alignment import parallel

Desk = TypeVar("Desk")
Made = TypeVar("Made")


def nothing() -> None:
    """Neither to do while waiting, nor to let go of."""


def in_parallel(
    make: Callable[[int, Desk], Made],
    items: Iterable[int],
    desks: Sequence[Desk],
    waiting: Callable[[], None] = nothing,
    abandon: Callable[[], None] = nothing,
) -> Generator[Made]:
    return parallel.in_parallel(make, items, desks, waiting=waiting, abandon=abandon)


class Broken(Exception):
    """What making an item raises."""


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_every_item_is_made_once(count: int, workers: int) -> None:
    """However few there are, and by however many."""
    made = in_parallel(lambda n, _: n * n, range(count), range(workers))
    assert sorted(made) == [n * n for n in range(count)]


def test_each_desk_serves_one_item_at_a_time() -> None:
    """What lies on it is nobody else's meanwhile; torch has its share of threads there."""
    taken: set[str] = set()
    shares: set[int] = set()

    def make(n: int, desk: str) -> int:
        assert desk not in taken
        taken.add(desk)
        shares.add(torch.get_num_threads())
        time.sleep(0.001)
        taken.remove(desk)
        return n

    assert len(list(in_parallel(make, range(40), ["a", "b", "c"]))) == 40
    assert shares == {max(1, torch.get_num_threads() // 3)}


def test_none_is_begun_before_what_is_done_was_taken() -> None:
    """So that a build that is told to stop, stops."""
    begun: list[int] = []
    with closing(in_parallel(lambda n, _: begun.append(n), range(9), ["one"])) as made:
        next(made)
        time.sleep(0.05)
        assert begun == [0]
        next(made)
        assert begun == [0, 1]
    assert begun == [0, 1]


def test_closing_waits_for_what_is_at_work() -> None:
    """Nothing goes on behind the back of whoever stopped it."""
    both, ended = threading.Barrier(2), []

    def make(n: int, _: str) -> int:
        if n < 2:
            both.wait(10)
            time.sleep(0.02 + 0.1 * n)
        ended.append(n)
        return n

    with closing(in_parallel(make, range(9), ["a", "b"])) as made:
        assert next(made) == 0
    assert ended == [0, 1]


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_ends_it(workers: int) -> None:
    """As it is, and no item is begun after it."""
    begun: list[int] = []

    def make(n: int, _: int) -> int:
        begun.append(n)
        if n == 2:
            raise Broken
        return n

    with pytest.raises(Broken):
        list(in_parallel(make, range(50), range(workers)))
    assert len(begun) <= 3 + workers


def test_who_waits_is_asked_every_second_and_may_stop_it() -> None:
    """What hangs is abandoned before it is waited for: else nobody would ever stop it."""
    let_go = threading.Event()

    def hang(n: int, _: str) -> int:
        assert let_go.wait(30)
        return n

    def stop() -> None:
        raise Broken

    with pytest.raises(Broken):
        list(in_parallel(hang, range(5), ["a", "b"], waiting=stop, abandon=let_go.set))


@pytest.mark.parametrize("taken", [1, 4])
def test_what_is_all_made_is_not_abandoned(taken: int) -> None:
    """And what is not, is."""
    abandoned: list[bool] = []
    made = in_parallel(lambda n, _: n, range(4), ["a"], abandon=lambda: abandoned.append(True))
    with closing(made):
        for _ in range(taken):
            next(made)
        if taken == 4:
            assert next(made, None) is None
    assert abandoned == ([] if taken == 4 else [True])
