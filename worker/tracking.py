"""How long each stage takes, how far it is, and whether to go on."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from core.observing.traces import span, tell_span

OnStep = Callable[[str, int, int], None]


@dataclass
class _Entered:
    """A stage that was entered over and over: from when until when, in nanoseconds since 1970, how
    often, and the seconds that count of it."""

    begun: int
    ended: int = 0
    times: int = 0
    seconds: float = 0.0


class Tracker:
    """Adds up seconds by stage and tells `on_step(stage, done, total)`, which may raise to stop.

    A stage is a span too, where those are asked for.
    """

    def __init__(self, on_step: OnStep | None = None) -> None:
        self.timings: dict[str, float] = {}
        self._on_step = on_step
        self._lock = Lock()
        self._entered: dict[str, _Entered] = {}
        self._started = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; one that is entered again adds up."""
        start = time.perf_counter()
        try:
            with span(name):
                yield
        finally:
            self._add(name, time.perf_counter() - start)

    @contextmanager
    def turns(self, name: str) -> Iterator[None]:
        """A span of this name around stages that are entered in `turn`, with one for each."""
        with span(name):
            try:
                yield
            finally:
                for stage, entered in self._entered.items():
                    tell_span(
                        stage,
                        entered.begun,
                        entered.ended,
                        seconds=entered.seconds,
                        times=entered.times,
                    )
                self._entered.clear()

    @contextmanager
    def turn(self, name: str, *, at_once: int) -> Iterator[None]:
        """Time a stage that so many threads are `at_once` in: each adds that part of its time, and
        together they add what has passed."""
        begun, start = time.time_ns(), time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - start) / at_once
            self._add(name, spent)
            with self._lock:
                entered = self._entered.setdefault(name, _Entered(begun))
                entered.ended = time.time_ns()
                entered.times += 1
                entered.seconds += spent

    def step(self, stage: str, done: int, total: int) -> None:
        if self._on_step is not None:
            self._on_step(stage, done, total)

    def finish(self) -> dict[str, float]:
        """The timings so far, with `total`, rounded to microseconds."""
        self.timings["total"] = time.perf_counter() - self._started
        return {name: round(seconds, 6) for name, seconds in self.timings.items()}

    def _add(self, name: str, seconds: float) -> None:
        with self._lock:
            self.timings[name] = self.timings.get(name, 0.0) + seconds
