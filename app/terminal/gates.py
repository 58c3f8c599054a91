"""A gate spoken to over HTTP, as the commands of the terminal do it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final, NoReturn

import typer

from app.terminal.advice import advice
from app.terminal.output import fail, refused, wrong
from core.errors import GateError
from core.exit_codes import INTERRUPTED
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
HERE: Final = DEFAULT_URL


@contextmanager
def at_gate(
    url: str, key: str | None, *, allow_http: bool, interrupted: str | Callable[[], str] = "stopped"
) -> Iterator[Gate]:
    """The gate at `url`. Ends the command, with what to do, for what the gate or its client has to
    say, and with the words of `interrupted` for Ctrl-C."""
    try:
        with _open(url, key, allow_http=allow_http) as gate:
            yield gate
    except (RequestRefused, NoGate, UsageError) as error:
        refused(error, advice(error, url))
    except ClientError as error:
        fail(error, advice(error, url))
    except GateError as error:
        fail(error)
    except KeyboardInterrupt:
        _stop(interrupted if isinstance(interrupted, str) else interrupted())


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


def _open(url: str, key: str | None, *, allow_http: bool) -> Gate:
    try:
        return Gate(url, key, allow_http=allow_http, patience=PATIENCE)
    except UsageError as error:
        if url.startswith("http:") and "over http://" in error.detail:
            wrong(f"{error.detail}: --allow-http")
        wrong(f"--url {url}: {error.detail}" if "url must" in error.detail else error.detail)


def _stop(words: str) -> NoReturn:
    sys.stderr.write(f"{words}\n")
    raise typer.Exit(INTERRUPTED) from None
