"""Calls of a store, and round trips to Redis, counted where they leave our code."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast
from unittest.mock import patch

from redis.asyncio.connection import AbstractConnection as AsyncConnection
from redis.connection import AbstractConnection

from core.store.base import ObjectStore

_COMMAND = re.compile(rb"\*\d+\r\n\$\d+\r\n(\w+)\r\n")
TOGETHER = {"put_all", "commit_all"}
_CONNECTING = {"HELLO", "AUTH", "SELECT", "CLIENT", "PING"}


class StoreCalls:
    """An `ObjectStore` that passes all on to another, and counts the calls by name: each object of
    those that are put or committed together is one."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.counts: Counter[str] = Counter()

    @property
    def as_store(self) -> ObjectStore:
        return cast(ObjectStore, self)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.counts[name] += len(args[0]) if name in TOGETHER else 1
            return found(*args, **kwargs)

        return counted


@contextmanager
def round_trips() -> Iterator[Counter[str]]:
    """How often this process writes to Redis within the block, by the command sent.

    Several sent at once are one round trip, named by the first with … behind. What a new connection
    begins with is left out: connections are kept.
    """
    counts: Counter[str] = Counter()

    def note(command: Any) -> None:
        parts = command if isinstance(command, list | tuple) else [command]
        names = [name.decode().upper() for name in _COMMAND.findall(b"".join(map(_bytes, parts)))]
        if not _CONNECTING.issuperset(names):
            first, *more = [name for name in names if name not in ("MULTI", "EXEC")]
            counts[f"{first}…" if more else first] += 1

    send: Any = AbstractConnection.send_packed_command
    send_async: Any = AsyncConnection.send_packed_command

    def counted(self: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
        note(command)
        return send(self, command, *args, **kwargs)

    async def counted_async(self: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
        note(command)
        return await send_async(self, command, *args, **kwargs)

    with (
        patch.object(AbstractConnection, "send_packed_command", counted),
        patch.object(AsyncConnection, "send_packed_command", counted_async),
    ):
        yield counts


def assert_within(found: Mapping[str, int], bounds: Mapping[str, int]) -> None:
    """Raises `AssertionError` that names what there is more of than its bound; what has no bound
    must not be there."""
    grown = {name: count for name, count in found.items() if count > bounds.get(name, 0)}
    told = ", ".join(f"{count} {name}, not {bounds.get(name, 0)}" for name, count in grown.items())
    assert not grown, f"more than there was: {told}"


def _bytes(part: Any) -> bytes:
    return part.encode() if isinstance(part, str) else bytes(part)
