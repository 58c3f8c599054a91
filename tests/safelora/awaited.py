"""An `AsyncGate` in a loop of its own thread, called as a `Gate` is."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio.from_thread import BlockingPortal

from safelora import AsyncGate

_END = object()


@dataclass(frozen=True)
class Awaited:
    gate: AsyncGate
    portal: BlockingPortal

    def __repr__(self) -> str:
        return repr(self.gate)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.gate, name)
        if not callable(member):
            return member
        each = name in ("events", "jobs")
        return partial(self._each if each else self._call, member)

    def _call(self, member: Callable[..., Any], *given: Any, **options: Any) -> Any:
        return self.portal.call(partial(member, *given, **options))

    def _each(self, member: Callable[..., Any], *given: Any, **options: Any) -> Iterator[Any]:
        iterator: AsyncIterator[Any] = member(*given, **options)
        while (item := self.portal.call(_next, iterator)) is not _END:
            yield item


async def _next(iterator: AsyncIterator[Any]) -> Any:
    return await anext(iterator, _END)
