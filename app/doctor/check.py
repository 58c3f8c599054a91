"""One thing that was looked at, and what came of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from core.errors import GateError

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Check:
    """`found` in a few words; `do` what to do about it, where anything is."""

    name: str
    state: State
    found: str
    do: str = ""


def ok(name: str, found: str) -> Check:
    return Check(name, "ok", found)


def warning(name: str, found: str, do: str) -> Check:
    return Check(name, "warning", found, do)


def failed(name: str, found: str, do: str) -> Check:
    return Check(name, "failed", found, do)


def guarded(name: str, checks: Iterable[Check], do: str) -> Iterator[Check]:
    """The checks, up to one that ends in an error of the store or of Redis: then that is said."""
    try:
        yield from checks
    except GateError as error:
        yield failed(name, error.message, do)


def gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
