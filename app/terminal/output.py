"""What the commands have in common: what they print, how they end, a bar while they wait.

stdout has the result alone: with --json one JSON document, or nothing. All else is on stderr.
"""

import json as jsonlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from core.errors import GateError
from core.exit_codes import FAILED, WRONG_ARGUMENTS
from core.findings import printable
from safelora import GateError as ClientError

if TYPE_CHECKING:  # most commands read no settings
    from core.settings import SettingsInvalid

WIDTH_OF_FILES: Final = 160

AsJson = Annotated[
    bool, typer.Option("--json", help="print one JSON document, and nothing else, on stdout")
]


class Show(Protocol):
    """Called while something is waited for, with how much is done of how much, and in which
    stage."""

    def __call__(self, done: int, total: int, stage: str = "", /) -> None: ...


def print_json(document: Any) -> None:
    sys.stdout.write(f"{jsonlib.dumps(document, indent=1, allow_nan=False)}\n")


def on_stdout() -> Console:
    """As wide as the terminal; files and pipes are wide enough for a table."""
    in_file = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, width=WIDTH_OF_FILES if in_file else None)


def on_stderr() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def wrong(message: str, *, code: str = "arguments", advice: str = "") -> NoReturn:
    """The command line is at fault."""
    _say(code, message, advice)
    raise typer.Exit(WRONG_ARGUMENTS)


def settings_wrong(error: "SettingsInvalid") -> NoReturn:
    """The environment is at fault: a line for each variable."""
    sys.stderr.write(error.told)
    raise typer.Exit(WRONG_ARGUMENTS)


def refused(error: GateError | ClientError, advice: str = "") -> NoReturn:
    """The gate says that the command line is at fault."""
    wrong(str(error), code=error.code, advice=advice)


def fail(error: GateError | ClientError, advice: str = "") -> NoReturn:
    _say(error.code, str(error), advice)
    raise typer.Exit(FAILED)


def _say(code: str, message: str, advice: str) -> None:
    """One line, and below it what to do about it here."""
    sys.stderr.write(f"error [{code}]: {printable(message)}\n")
    for line in advice.splitlines():
        sys.stderr.write(f"  {printable(line)}\n")


@contextmanager
def using(path: Path | None) -> Iterator[None]:
    """Ends the command where the machine has no such file, or does not let it be read or written.

    `path` is named where the machine names none.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads stdout any more: that is no file's fault
    except OSError as error:
        wrong(f"{error.filename or path} cannot be used: {error.strerror or error}")


@contextmanager
def bar(what: str) -> Iterator[Show]:
    """A bar on a terminal's stderr, by `show(done, total, stage)`; elsewhere nothing is drawn."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[stage]}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as drawn:
        task = drawn.add_task(what, total=None, stage="", count="")

        def show(done: int, total: int, stage: str = "") -> None:
            count = f"{done}/{total}" if total else ""
            drawn.update(
                task, completed=done, total=total or None, stage=printable(stage), count=count
            )

        yield show
