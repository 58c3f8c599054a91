"""Takes the steps of a flow, and blocks."""

import time
from collections.abc import Callable, Iterator
from typing import Any

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


class Driver:
    def __init__(self, http: httpx2.Client) -> None:
        self._http = http

    def run(self, flow: Flow[Result]) -> Result:
        """The result of a flow that emits nothing."""
        with _Taking(self._http, flow) as taking:
            outcome = Outcome()
            while True:
                try:
                    step = outcome.into(flow)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                outcome = taking.take(step)

    def each(self, flow: Flow[None]) -> Iterator[Any]:
        """What the flow emits."""
        with _Taking(self._http, flow) as taking:
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
                    outcome = taking.take(step)


class _Taking:
    """One flow on its way, and the responses that it has open."""

    def __init__(self, http: httpx2.Client, flow: Flow[Any]) -> None:
        self._http = http
        self._flow = flow
        self._open: dict[int, httpx2.Response] = {}
        self._iterators: dict[int, Iterator[Any]] = {}

    def __enter__(self) -> "_Taking":
        return self

    def __exit__(self, *_: object) -> None:
        self._flow.close()
        for response in list(self._open.values()):
            self._close(response)

    def take(self, step: Step) -> Outcome:
        try:
            return Outcome(self._taken(step))
        except httpx2.TransportError as error:
            return Outcome(error=error)

    def _taken(self, step: Step) -> Any:
        match step:
            case Send(request):
                return self._http.send(request, auth=None, follow_redirects=False)
            case Open(request):
                response = self._http.send(request, auth=None, follow_redirects=False, stream=True)
                self._open[id(response)] = response
                return response
            case NextChunk(response):
                return next(self._iterator(response, response.iter_bytes), None)
            case NextEvent(response):
                source = httpx2.EventSource(response)
                return next(self._iterator(response, source.__iter__), None)
            case Close(response):
                return self._close(response)
            case Pause(seconds):
                return time.sleep(seconds)
            case Do(call):
                return call()
            case Emit():
                raise AssertionError("this flow is to be iterated")

    def _iterator(
        self, response: httpx2.Response, begin: Callable[[], Iterator[Any]]
    ) -> Iterator[Any]:
        if id(response) not in self._iterators:
            self._iterators[id(response)] = begin()
        return self._iterators[id(response)]

    def _close(self, response: httpx2.Response) -> None:
        self._iterators.pop(id(response), None)
        self._open.pop(id(response)).close()
