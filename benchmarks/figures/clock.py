"""Times of several ways to do the same, taken in turn: what disturbs one disturbs the others."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import torch

Work = Callable[[], object]
Clock = Callable[[Work], float]
"""The seconds that a work takes."""


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


def seconds_of(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def seconds_on_gpu(work: Work) -> float:
    """From an idle GPU to an idle GPU, by its own clock: what was launched is waited for."""
    start, end = (
        torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        for _ in range(2)
    )
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000  # milliseconds


def clock_of(device: torch.device) -> Clock:
    return seconds_on_gpu if device.type == "cuda" else seconds_of


def in_turn(works: Mapping[str, Work], rounds: int, clock: Clock = seconds_of) -> dict[str, Times]:
    """Each once for warmth, then `rounds` times, in the order A, B, B, A, …"""
    for work in works.values():
        clock(work)
    taken: dict[str, list[float]] = {name: [] for name in works}
    order = list(works)
    for _ in range(rounds):
        for name in order:
            taken[name].append(clock(works[name]))
        order.reverse()
    return {name: Times(tuple(seconds)) for name, seconds in taken.items()}
