"""Takes the steps of a flow, and awaits: the same as `driver.py`."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import anyio.to_thread
import httpx2

from safelora.steps import (
    Close,
    Do,
    Emit,
    Flow,
    NextChunk,
    NextEvent,
    Open,
    Outcome,
    Pause,
    Result,
    Send,
    Step,
)


class AsyncDriver:
    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def run(self, flow: Flow[Result]) -> Result:
        """The result of a flow that emits nothing."""
        async with _Taking(self._http, flow) as taking:
            outcome = Outcome()
            while True:
                try:
                    step = outcome.into(flow)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                outcome = await taking.take(step)

    async def each(self, flow: Flow[None]) -> AsyncIterator[Any]:
        """What the flow emits."""
        async with _Taking(self._http, flow) as taking:
            outcome = Outcome()
            while True:
                try:
                    step = outcome.into(flow)
                except StopIteration:
                    return
                if isinstance(step, Emit):
                    yield step.item
                    outcome = Outcome()
                else:
                    outcome = await taking.take(step)


class _Taking:
    """One flow on its way, and the responses that it has open."""

    def __init__(self, http: httpx2.AsyncClient, flow: Flow[Any]) -> None:
        self._http = http
        self._flow = flow
        self._open: dict[int, httpx2.Response] = {}
        self._iterators: dict[int, AsyncIterator[Any]] = {}

    async def __aenter__(self) -> "_Taking":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._flow.close()
        for response in list(self._open.values()):
            await self._close(response)

    async def take(self, step: Step) -> Outcome:
        try:
            return Outcome(await self._taken(step))
        except httpx2.TransportError as error:
            return Outcome(error=error)

    async def _taken(self, step: Step) -> Any:
        match step:
            case Send(request):
                return await self._http.send(request, auth=None, follow_redirects=False)
            case Open(request):
                response = await self._http.send(
                    request, auth=None, follow_redirects=False, stream=True
                )
                self._open[id(response)] = response
                return response
            case NextChunk(response):
                return await anext(self._iterator(response, response.aiter_bytes), None)
            case NextEvent(response):
                source = httpx2.EventSource(response)
                return await anext(self._iterator(response, source.__aiter__), None)
            case Close(response):
                return await self._close(response)
            case Pause(seconds):
                return await anyio.sleep(seconds)
            case Do(call):
                return await anyio.to_thread.run_sync(call)
            case Emit():
                raise AssertionError("this flow is to be iterated")

    def _iterator(
        self, response: httpx2.Response, begin: Callable[[], AsyncIterator[Any]]
    ) -> AsyncIterator[Any]:
        if id(response) not in self._iterators:
            self._iterators[id(response)] = begin()
        return self._iterators[id(response)]

    async def _close(self, response: httpx2.Response) -> None:
        self._iterators.pop(id(response), None)
        await self._open.pop(id(response)).aclose()
