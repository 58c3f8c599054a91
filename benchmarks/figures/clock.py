"""Times of several ways to do the same, taken in turn: what disturbs one disturbs the others."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

Work = Callable[[], object]


@dataclass(frozen=True)
class Times:
    """Seconds of each round."""

    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        """What it takes when nobody disturbs."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        return median(self.seconds)


def in_turn(works: Mapping[str, Work], rounds: int) -> dict[str, Times]:
    """Each once for warmth, then `rounds` times, in the order A, B, B, A, …"""
    for work in works.values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in works}
    order = list(works)
    for _ in range(rounds):
        for name in order:
            taken[name].append(seconds_of(works[name]))
        order.reverse()
    return {name: Times(tuple(seconds)) for name, seconds in taken.items()}


def seconds_of(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
