"""What the commands have in common: how they end, and a bar while they wait."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from core.errors import GateError
from core.findings import printable
from safelora import GateError as ClientError

Show = Callable[[int, int], None]
"""Called while something is waited for, with how much is done of how much."""

FAILED: Final = 1
WRONG_ARGUMENTS: Final = 2
REJECTED: Final = 3
INTERRUPTED: Final = 130


def wrong(message: str) -> NoReturn:
    """The command line is at fault."""
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(WRONG_ARGUMENTS)


def refused(error: GateError | ClientError) -> NoReturn:
    """The gate says that the command line is at fault."""
    wrong(f"error [{error.code}]: {printable(str(error))}")


def fail(error: GateError | ClientError) -> NoReturn:
    sys.stderr.write(f"error [{error.code}]: {printable(str(error))}\n")
    raise typer.Exit(FAILED)


@contextmanager
def bar(what: str) -> Iterator[Show]:
    """A bar on a terminal's stderr, by `show(done, total)`; elsewhere nothing is drawn."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as drawn:
        task = drawn.add_task(what, total=None)
        yield lambda done, total: drawn.update(task, completed=done, total=total or None)
