"""The events of a job, over as many connections as it takes."""

import json
from typing import Any

import httpx2

from safelora.errors import NoGate, Unavailable
from safelora.jobs import path_of
from safelora.models import Event, Job, Progress
from safelora.steps import Close, Emit, Flow, Pause, next_event
from safelora.wire import Call, Terms, open_stream


def events(terms: Terms, job: str | Job, last: str) -> Flow[None]:
    """Emits what happens after event `last` until the job has ended.

    Raises `Unavailable` (`events_cut` if the stream is cut and not to be taken up again), or as
    `ask` does: `RequestRefused` too if the job is removed meanwhile.
    """
    path = path_of(job, "events")
    fruitless = 0
    while True:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        response = yield from open_stream(terms, Call("GET", path, headers=headers))
        if response.status_code == 204:
            return
        _check_stream(response)
        try:
            while (heard := (yield from next_event(response))) is not None:
                fruitless, last = 0, heard.id or last
                event = _read(heard)
                yield Emit(event)
                if event.job is not None and event.job.ended:
                    return
        except httpx2.TransportError:
            pass  # cut: taken up again after `last`
        yield Close(response)
        fruitless += 1
        pause = terms.patience.pause(fruitless, 0.0, None, terms.chance())
        if pause is None:
            raise Unavailable("the stream of events was cut: follow it again", code="events_cut")
        yield Pause(pause)


def _check_stream(response: httpx2.Response) -> None:
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "text/event-stream":
        raise NoGate("what answers at this address is no gate: it sends no events")


def _read(heard: httpx2.ServerSentEvent) -> Event:
    """Raises `NoGate` for what is no JSON object, or no job where one should be."""
    try:
        data: Any = json.loads(heard.data)
        return Event(
            name=heard.event,
            id=heard.id,
            job=Job.model_validate(data) if heard.event == "state" else None,
            progress=Progress.model_validate(data) if heard.event == "progress" else None,
            data=data,
        )
    except ValueError as error:
        raise NoGate("what answers at this address is no gate: its events are others") from error
