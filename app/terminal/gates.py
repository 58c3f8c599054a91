"""A gate spoken to over HTTP, as the commands of the terminal do it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final, NoReturn

import typer

from app.terminal.output import INTERRUPTED, fail, refused, wrong
from core.errors import GateError
from safelora import Gate, NoGate, Patience, RequestRefused, Unavailable, UsageError
from safelora import GateError as ClientError
from safelora.address import DEFAULT_URL

# A gate is started anew, or its machine is, during long work.
PATIENCE: Final = Patience(seconds=120.0)

Url = Annotated[str, typer.Option(envvar="SAFELORA_URL", help="address of the gate")]
Key = Annotated[str | None, typer.Option(envvar="SAFELORA_KEY", help="a key of the gate")]
AllowHttp = Annotated[
    bool, typer.Option("--allow-http", help="send the key over http:// to another machine, too")
]
AsJson = Annotated[bool, typer.Option("--json", help="print what the gate answers, as JSON")]
HERE: Final = DEFAULT_URL


def open_gate(url: str, key: str | None, *, allow_http: bool = False) -> Gate:
    """The gate at `url`, or exit 2 for what is no address, or no key."""
    try:
        return Gate(url, key, allow_http=allow_http, patience=PATIENCE)
    except UsageError as error:
        if url.startswith("http:") and "over http://" in error.detail:
            wrong(f"{error.detail}: --allow-http")
        wrong(error.detail)


@contextmanager
def once_it_answers(kept: str) -> Iterator[None]:
    """Says of a gate that went away meanwhile how to go on."""
    try:
        yield
    except Unavailable as error:
        raise Unavailable(
            f"the gate no longer answers: {error}. {kept}: run the same command again once it does",
            code=error.code,
            status=error.status,
        ) from error


@contextmanager
def told(on_interrupt: str | Callable[[], str]) -> Iterator[None]:
    """Ends the command for what the gate, or its client, has to say."""
    try:
        yield
    except (RequestRefused, NoGate, UsageError) as error:
        refused(error)
    except (ClientError, GateError) as error:
        fail(error)
    except KeyboardInterrupt:
        words = on_interrupt if isinstance(on_interrupt, str) else on_interrupt()
        interrupted(words)


def interrupted(words: str) -> NoReturn:
    sys.stderr.write(f"{words}\n")
    raise typer.Exit(INTERRUPTED) from None
