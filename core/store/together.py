"""Several requests to a store at once: each waits for an answer most of its time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final, TypeVar

THREADS: Final = 4

Item = TypeVar("Item")
Done = TypeVar("Done")


class Together:
    """A few threads, started when they are first needed."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="store")

    def each(self, work: Callable[[Item], Done], items: Sequence[Item]) -> list[Done]:
        """What `work` makes of each item, in their order, when all are done. Raises what the first
        of them in order raised."""
        if len(items) < 2:
            return [work(item) for item in items]
        asked = [self._pool.submit(work, item) for item in items]
        wait(asked)
        return [one.result() for one in asked]

    def close(self) -> None:
        self._pool.shutdown()
