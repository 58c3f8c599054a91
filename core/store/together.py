"""Several requests to a store at once: each waits for an answer most of its time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

THREADS: Final = 4

Item = TypeVar("Item")


def at_once(work: Callable[[Item], object], items: Sequence[Item]) -> None:
    """Returns when all are done. Raises what the first of them in order raised."""
    if len(items) < 2:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(min(THREADS, len(items)), thread_name_prefix="store") as pool:
        for _ in pool.map(work, items):
            pass
