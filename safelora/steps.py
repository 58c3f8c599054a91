"""What an operation asks of the world, a step at a time, and how it goes on with the answer.

Every operation of the client is a generator of these steps (a `Flow`), written once. A driver takes
them, one that blocks (`driver.py`) and one that awaits (`async_driver.py`); `httpx2.TransportError`
is the only error that is handed back into a flow.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

Result = TypeVar("Result")


@dataclass(frozen=True)
class Send:
    """→ the response, read to its end."""

    request: httpx2.Request


@dataclass(frozen=True)
class Open:
    """→ the response, unread. It is closed by `Close`, or with the flow."""

    request: httpx2.Request


@dataclass(frozen=True)
class NextChunk:
    """→ the next bytes of an open response, None at its end."""

    response: httpx2.Response


@dataclass(frozen=True)
class NextEvent:
    """→ the next `httpx2.ServerSentEvent` of an open response, None at its end."""

    response: httpx2.Response


@dataclass(frozen=True)
class Close:
    """→ None."""

    response: httpx2.Response


@dataclass(frozen=True)
class Pause:
    """→ None, after so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Do:
    """→ what the call returns; it may block, and is made where that is no harm."""

    call: Callable[[], Any]


@dataclass(frozen=True)
class Emit:
    """→ None; the item goes to whoever iterates."""

    item: Any


Step = Send | Open | NextChunk | NextEvent | Close | Pause | Do | Emit
Flow = Generator[Step, Any, Result]


@dataclass(frozen=True)
class Outcome:
    """How a step ended."""

    value: Any = None
    error: httpx2.TransportError | None = None

    def into(self, flow: Flow[Any]) -> Step:
        """The next step. Raises `StopIteration` at the flow's end, with its result."""
        return flow.send(self.value) if self.error is None else flow.throw(self.error)


def sent(request: httpx2.Request) -> Flow[httpx2.Response]:
    response: httpx2.Response = yield Send(request)
    return response


def opened(request: httpx2.Request) -> Flow[httpx2.Response]:
    response: httpx2.Response = yield Open(request)
    return response


def next_chunk(response: httpx2.Response) -> Flow[bytes | None]:
    chunk: bytes | None = yield NextChunk(response)
    return chunk


def next_event(response: httpx2.Response) -> Flow[httpx2.ServerSentEvent | None]:
    event: httpx2.ServerSentEvent | None = yield NextEvent(response)
    return event


def done(call: Callable[[], Result]) -> Flow[Result]:
    result: Result = yield Do(call)
    return result
