"""What goes on, step by step, so that minutes of training do not look like a hang."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

TOLD: Final = ("demo.llm", "benchmarks.efficacy", "tests.real.smollm2")  # whose log is shown
QUIET_SECONDS: Final = 20.0  # between two lines where there is no terminal to redraw


class Steps:
    """Numbered headings, each with the seconds that its step took."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total, self._number = console, total, 0

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Prints what is done; until the block ends, the last line of the log and a clock."""
        self._number += 1
        self._console.print(f"\n== {self._number} of {self._total}: {title}", style="bold")
        start = time.monotonic()
        with _log_shown(self._console):
            yield
        self._console.print(f"   done in {time.monotonic() - start:.0f} s", style="dim")


@contextmanager
def _log_shown(console: Console) -> Iterator[None]:
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        handler = _LastLine(console, bar, bar.add_task("working"))
        loggers = [logging.getLogger(name) for name in TOLD]
        for logger in loggers:
            logger.setLevel(logging.INFO)
            logger.addHandler(handler)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeHandler(handler)


class _LastLine(logging.Handler):
    """Beside the clock on a terminal; elsewhere a line now and then."""

    def __init__(self, console: Console, bar: Progress, task: TaskID) -> None:
        super().__init__()
        self._console, self._bar, self._task = console, bar, task
        self._printed = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if self._console.is_terminal:
            self._bar.update(self._task, description=message)
        elif time.monotonic() - self._printed > QUIET_SECONDS:
            self._console.print(f"   {message}", markup=False)
            self._printed = time.monotonic()
