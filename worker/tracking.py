"""How long each stage takes, how far it is, and whether to go on."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnStep = Callable[[str, int, int], None]


class Tracker:
    """Adds up seconds by stage and tells `on_step(stage, done, total)`, which may raise to stop."""

    def __init__(self, on_step: OnStep | None = None) -> None:
        self.timings: dict[str, float] = {}
        self._on_step = on_step
        self._started = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; one that is entered again adds up."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.timings[name] = self.timings.get(name, 0.0) + spent

    def step(self, stage: str, done: int, total: int) -> None:
        if self._on_step is not None:
            self._on_step(stage, done, total)

    def finish(self) -> dict[str, float]:
        """The timings so far, with `total`, rounded to microseconds."""
        self.timings["total"] = time.perf_counter() - self._started
        return {name: round(seconds, 6) for name, seconds in self.timings.items()}
