"""The store's keys as one API process knows them: asked for at most every few seconds."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import anyio
from starlette.concurrency import run_in_threadpool

from core.keys import KeyRecord, Keys
from core.store.base import ObjectStore

SECONDS: Final = 5.0  # what is known of a key is believed for so long: a revocation holds by then
_KNOWN, _UNKNOWN = 10_000, 10_000  # ids that are remembered
_AT_ONCE = 4  # threads that ask the store

Value = TypeVar("Value")


class Keyring:
    """For one event loop. What the store cannot say is an error (`StoreError`), never a guess.

    Ids that nobody has are remembered apart from those of keys, and asked for by threads of their
    own: a flood of made-up ids neither drives out a good key nor stands in its way.
    """

    def __init__(self, store: ObjectStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = Keys(store)
        self._clock = clock
        self._known: _Remembered[KeyRecord | None] = _Remembered(_KNOWN, clock)
        self._unknown: _Remembered[KeyRecord | None] = _Remembered(_UNKNOWN, clock)
        self._exist: _Remembered[bool] = _Remembered(1, clock)
        self._of_known, self._of_others = anyio.Semaphore(_AT_ONCE), anyio.Semaphore(_AT_ONCE)

    def has_seen(self, key_id: str) -> bool:
        """Whether a key had this id when it was last asked for."""
        return key_id in self._known

    async def record(self, key_id: str) -> KeyRecord | None:
        """The key of this id, as it was at most `SECONDS` ago."""
        told = self._told(key_id)
        if told is None:
            async with self._of_known if self.has_seen(key_id) else self._of_others:
                # Those who waited here find what the first of them was told.
                told = self._told(key_id) or await self._ask(key_id)
        return told.value

    def _told(self, key_id: str) -> "_Kept[KeyRecord | None] | None":
        return self._known.fresh(key_id) or self._unknown.fresh(key_id)

    async def _ask(self, key_id: str) -> "_Kept[KeyRecord | None]":
        asked = self._clock()
        record = await run_in_threadpool(self._keys.get, key_id)
        if record is None:
            self._known.forget(key_id)
        return (self._unknown if record is None else self._known).keep(key_id, record, asked)

    async def exist(self) -> bool:
        """Whether the store has any key, as it was at most `SECONDS` ago."""
        told = self._exist.fresh("")
        if told is None:
            asked = self._clock()
            told = self._exist.keep("", await run_in_threadpool(self._keys.exist), asked)
        return told.value


@dataclass(frozen=True)
class _Kept(Generic[Value]):
    value: Value
    asked: float


class _Remembered(Generic[Value]):
    """The `size` values that were kept last, each with the time that it was asked for at."""

    def __init__(self, size: int, clock: Callable[[], float]) -> None:
        self._size = size
        self._clock = clock
        self._kept: OrderedDict[str, _Kept[Value]] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def fresh(self, key: str) -> _Kept[Value] | None:
        kept = self._kept.get(key)
        return kept if kept is not None and self._clock() - kept.asked < SECONDS else None

    def keep(self, key: str, value: Value, asked: float) -> _Kept[Value]:
        self._kept[key] = kept = _Kept(value, asked)
        self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return kept

    def forget(self, key: str) -> None:
        self._kept.pop(key, None)
