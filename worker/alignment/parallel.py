"""Several modules at once, each on a core of its own."""

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import TypeVar

import torch

MOST = 4  # modules in memory at once
LOOK_SECONDS = 1.0

Item = TypeVar("Item")
Desk = TypeVar("Desk")
Made = TypeVar("Made")


def usual_workers() -> int:
    """One more than torch has threads: while one waits for the disk, the others compute."""
    return min(MOST, torch.get_num_threads() + 1)


def in_parallel(
    make: Callable[[Item, Desk], Made],
    items: Iterable[Item],
    desks: Sequence[Desk],
    *,
    waiting: Callable[[], None],
    abandon: Callable[[], None],
) -> Generator[Made]:
    """What `make` makes of each item, as it is done. There are as many workers as `desks`; each
    item has one of these to itself, and is begun once one is free and what is done was taken.

    Torch's threads are divided among the workers: threads that share a small product wait for each
    other most of the time. Raises what `make` raises, and what `waiting` raises, which is called
    every second in which nothing is done. Close it, or use it up: if it ends before all is made,
    `abandon` is called, to have what is at work end early, and that is waited for.
    """
    free: SimpleQueue[Desk] = SimpleQueue()
    for desk in desks:
        free.put(desk)

    def work(item: Item) -> Made:
        desk = free.get()
        try:
            return make(item, desk)
        finally:
            free.put(desk)

    threads = max(1, torch.get_num_threads() // len(desks))
    with ThreadPoolExecutor(
        len(desks), initializer=torch.set_num_threads, initargs=(threads,)
    ) as pool:
        at_work: set[Future[Made]] = set()
        try:
            for item in items:
                at_work.add(pool.submit(work, item))
                while len(at_work) == len(desks):
                    done, at_work = _some_done(at_work, waiting)
                    yield from done
            while at_work:
                done, at_work = _some_done(at_work, waiting)
                yield from done
        except BaseException:
            abandon()
            raise


def _some_done(
    at_work: set[Future[Made]], waiting: Callable[[], None]
) -> tuple[list[Made], set[Future[Made]]]:
    """What was made, one at least, and what is still at work."""
    while True:
        done, others = wait(at_work, LOOK_SECONDS, return_when=FIRST_COMPLETED)
        if done:
            return [future.result() for future in done], others
        waiting()
