"""What the formats have in common: a member, the bytes it may take, and how it is refused."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from core.errors import Unprocessable

MAX_MEMBERS = 64
CHUNK = 1 << 20


@dataclass(frozen=True)
class Member:
    """One entry of an archive, in its order. `size` is what the archive claims.

    `chunks` yields the bytes; it is good only until the next member is asked for.
    """

    name: str
    size: int
    folder: bool
    chunks: Callable[[], Iterator[bytes]]


class Budget:
    """Bytes the archive may still unpack to: the claims are counted, and then the truth."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._claimed = 0
        self._spent = 0

    def claim(self, size: int, member: str) -> None:
        self._claimed += size
        self._check(self._claimed, member)

    def spend(self, size: int, member: str) -> None:
        self._spent += size
        self._check(self._spent, member)

    def _check(self, total: int, member: str) -> None:
        if total > self._max:
            raise bomb(self._max, member)


def bomb(max_bytes: int, member: str = "") -> Unprocessable:
    where = f" at {shown(member)}" if member else ""
    return refusal(
        "archive_bomb",
        f"the archive unpacks to more than the {max_bytes} bytes allowed{where}: send the adapter's"
        " two files only, saved in 16 bits",
        member,
    )


def too_many_members() -> Unprocessable:
    return refusal(
        "archive_too_many_members",
        f"the archive holds more than {MAX_MEMBERS} members: pack the adapter's files only",
    )


def unreadable(why: str) -> Unprocessable:
    return refusal("archive_unreadable", f"the archive cannot be read: {why}. Pack it again")


def refusal(code: str, message: str, member: str = "") -> Unprocessable:
    """The error for one thing wrong with the archive; `member` names where."""
    details = {"member": shown(member)} if member else {}
    return Unprocessable(message, code=code, **details)


def shown(name: str) -> str:
    """A hostile name made fit for a message: escaped, and not too long."""
    escaped = repr(name)
    return escaped if len(escaped) <= 100 else f"{escaped[:99]}…"
