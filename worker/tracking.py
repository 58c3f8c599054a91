"""How long each stage takes, how far it is, and whether to go on."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

OnStep = Callable[[str, int, int], None]


class Tracker:
    """Adds up seconds by stage and tells `on_step(stage, done, total)`, which may raise to stop."""

    def __init__(self, on_step: OnStep | None = None) -> None:
        self.timings: dict[str, float] = {}
        self._on_step = on_step
        self._lock = Lock()
        self._started = time.perf_counter()

    @contextmanager
    def stage(self, name: str, *, at_once: int = 1) -> Iterator[None]:
        """Time a stage; one that is entered again adds up. Where so many threads are `at_once` in
        one, each adds that part of its time, and together they add what has passed.
        """
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            with self._lock:
                self.timings[name] = self.timings.get(name, 0.0) + spent / at_once

    def step(self, stage: str, done: int, total: int) -> None:
        if self._on_step is not None:
            self._on_step(stage, done, total)

    def finish(self) -> dict[str, float]:
        """The timings so far, with `total`, rounded to microseconds."""
        self.timings["total"] = time.perf_counter() - self._started
        return {name: round(seconds, 6) for name, seconds in self.timings.items()}
