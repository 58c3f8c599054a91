"""JSON as a tree that also holds what JSON forbids: keys given twice, numbers as they are spelt."""

import json
from dataclasses import dataclass
from random import Random
from typing import Any


class Number(str):
    """A number, or anything else that stands where a value may, as it is spelt."""

    __slots__ = ()


@dataclass
class Object:
    """The pairs in their order, keys as often as they come."""

    pairs: list[tuple[str, Any]]


@dataclass(frozen=True)
class Slot:
    """A place where a value stands."""

    holder: Object | list[Any]
    index: int

    @property
    def value(self) -> Any:
        held = self.holder
        return held.pairs[self.index][1] if isinstance(held, Object) else held[self.index]

    @property
    def key(self) -> str:
        return self.holder.pairs[self.index][0] if isinstance(self.holder, Object) else ""

    def put(self, value: Any) -> None:
        if isinstance(self.holder, Object):
            self.holder.pairs[self.index] = (self.key, value)
        else:
            self.holder[self.index] = value

    def rename(self, key: str) -> None:
        if isinstance(self.holder, Object):
            self.holder.pairs[self.index] = (key, self.value)

    def delete(self) -> None:
        del (self.holder.pairs if isinstance(self.holder, Object) else self.holder)[self.index]

    def insert(self, key: str, value: Any) -> None:
        if isinstance(self.holder, Object):
            self.holder.pairs.insert(self.index, (key, value))
        else:
            self.holder.insert(self.index, value)


def parse(data: bytes) -> Any:
    """Raises ValueError, RecursionError for what is no tree."""
    return json.loads(
        data.decode(),
        object_pairs_hook=Object,
        parse_int=Number,
        parse_float=Number,
        parse_constant=Number,
    )


def dump(value: Any, *, escaped: bool = True) -> bytes:
    """The tree as text; half of a surrogate pair that is not escaped makes it no UTF-8."""
    return _text(value, escaped=escaped).encode("utf-8", "surrogatepass")


def slots(value: Any) -> list[Slot]:
    """Every place below the root."""
    found: list[Slot] = []
    holders = [value]
    while holders:
        holder = holders.pop()
        if isinstance(holder, Object | list):
            size = len(holder.pairs if isinstance(holder, Object) else holder)
            inside = [Slot(holder, index) for index in range(size)]
            found += inside
            holders += [slot.value for slot in inside]
    return found


def some_slot(random: Random, value: Any) -> Slot | None:
    found = slots(value)
    return random.choice(found) if found else None


def _text(value: Any, *, escaped: bool) -> str:
    if isinstance(value, Number):
        return value
    if isinstance(value, Object):
        inside = [
            f"{_text(k, escaped=escaped)}:{_text(v, escaped=escaped)}" for k, v in value.pairs
        ]
        return "{" + ",".join(inside) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_text(item, escaped=escaped) for item in value) + "]"
    return json.dumps(value, ensure_ascii=escaped)
