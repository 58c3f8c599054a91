"""The events of a job, whole and in order, however often the connection is cut."""

import json
from functools import partial
from typing import Any

import httpx2
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given, settings
from hypothesis import strategies as st

from safelora import AsyncGate, Event, Gate, NoGate, Patience, RequestRefused, Unavailable
from tests.app.following import finish, posted, run
from tests.app.gate import Gate as RealGate
from tests.safelora.conftest import Connect
from tests.safelora.serving import LOST, Told, problem, scripted

QUICK = Patience(seconds=60.0, first_pause=0.0, longest_pause=0.0)
STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}


def job(state: str) -> dict[str, Any]:
    ended = None if state in ("queued", "running") else "then"
    return {"id": "j", "state": state, "finished_at": ended}


def frame(name: str, data: object, event_id: str) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\nid: {event_id}\n\n".encode()


def story(steps: int) -> list[tuple[str, bytes]]:
    """Every event of one job, by its id."""
    told = [("1-0", frame("state", job("queued"), "1-0"))]
    told += [("2-0", frame("state", job("running"), "2-0"))]
    for number in range(steps):
        event_id = f"{3 + number}-0"
        progress = {"stage": "score", "done": number, "total": steps}
        told.append((event_id, frame("progress", progress, event_id)))
    return [*told, ("final", frame("state", job("succeeded"), "final"))]


class Cutting:
    """A gate that cuts its stream after so many bytes each time, and then no more."""

    def __init__(self, steps: int, cuts: list[int]) -> None:
        self.story = story(steps)
        self.cuts = list(cuts)
        self.asked: list[str] = []

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        last = request.headers.get("Last-Event-ID", "")
        self.asked.append(last)
        ids = [event_id for event_id, _ in self.story]
        after = ids.index(last) + 1 if last else 0
        body = b": still here\n\n".join(data for _, data in self.story[after:])
        if self.cuts:
            body = body[: self.cuts.pop(0)]
        return httpx2.Response(200, headers=STREAM, content=body)


def ids_of(events: list[Event]) -> list[str]:
    return [event.id for event in events]


@settings(deadline=None)
@given(steps=st.integers(0, 4), cuts=st.lists(st.integers(0, 900), max_size=6))
def test_every_event_comes_once_and_in_order(steps: int, cuts: list[int]) -> None:
    """Wherever it is cut: in an id, between two events, before the first."""
    gate = Cutting(steps, cuts)
    transport = httpx2.MockTransport(gate.answer)
    with httpx2.Client(transport=transport) as http:
        events = list(Gate("http://127.0.0.1", patience=QUICK, http=http).events("j"))
    assert ids_of(events) == [event_id for event_id, _ in gate.story]
    assert events[-1].job is not None
    assert events[-1].job.ended


def test_the_awaited_client_goes_on_as_well() -> None:
    """The same flow, through the other driver."""

    async def follow(gate: Cutting) -> list[Event]:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(gate.answer)) as http:
            client = AsyncGate("http://127.0.0.1", patience=QUICK, http=http)
            return [event async for event in client.events("j")]

    gate = Cutting(2, [130, 20, 200])
    with start_blocking_portal() as portal:
        assert ids_of(portal.call(follow, gate)) == [event_id for event_id, _ in gate.story]
    assert len(gate.asked) == 4


def test_stream_that_breaks_off_is_taken_up_again(connect: Connect) -> None:
    """Over sockets: lost before its head, in its middle, and by a gate that is away meanwhile."""
    data = [data for _, data in story(1)]
    whole = b"".join(data)
    cut = Told(200, whole, STREAM, cut=len(data[0]) + 30)
    rest = Told(200, b"".join(data[1:]), STREAM)
    with scripted(LOST, cut, Told(503), LOST, rest) as script:
        events = list(connect(script.url, patience=QUICK).events("j"))
    assert ids_of(events) == ["1-0", "2-0", "3-0", "final"]
    resumed = [heard.headers.get("Last-Event-ID") for heard in script.heard]
    assert resumed == [None, None, "1-0", "1-0", "1-0"]


def test_real_gate_is_followed_to_the_end(gate: RealGate, client: Gate) -> None:
    """From the beginning, from an event on, and after the last one there is nothing."""
    gate.register()
    job_id = posted(gate)
    run(gate, job_id, 0, 7)
    finish(gate, job_id)
    events = list(client.events(job_id))
    told = [event.job.state if event.job else event.progress for event in events]
    assert told[:2] == ["queued", "running"]
    assert told[2] is not None
    assert not isinstance(told[2], str)
    assert (told[2].stage, told[2].done, told[2].total) == ("score", 7, 60)
    assert events[-1].job == client.job(job_id)
    assert ids_of(list(client.events(job_id, last=events[1].id))) == ids_of(events[2:])
    assert list(client.events(job_id, last="final")) == []


def test_following_may_be_left(connect: Connect) -> None:
    """After the first event; the connection is given back."""
    with scripted(Told(200, b"".join(data for _, data in story(3)), STREAM)) as script:
        client = connect(script.url)
        events = client.events("j")
        assert next(events).job is not None
        close = getattr(events, "close", None)
        assert close is not None
        close()
        assert len(list(client.events("j"))) == 6


def test_unknown_events_are_handed_on(connect: Connect) -> None:
    """Those of a newer gate, with their data."""
    body = frame("weather", {"rain": True}, "9-0") + frame("state", job("vanished"), "final")
    with scripted(Told(200, body, STREAM)) as script:
        strange, last = connect(script.url).events("j")
    assert (strange.name, strange.data, strange.job) == ("weather", {"rain": True}, None)
    assert last.job is not None
    assert last.job.state == "vanished"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (problem(404, "job_not_found"), RequestRefused),
        (Told(200, b"{}", {"Content-Type": "application/json"}), NoGate),
        (Told(200, frame("state", [], "1-0"), STREAM), NoGate),
        (Told(200, b"event: progress\ndata: {\n\n", STREAM), NoGate),
        (problem(503, "busy", Retry_After="9999"), Unavailable),
    ],
)
def test_what_is_no_stream_is_said_so(
    connect: Connect, answer: Told, error: type[Exception]
) -> None:
    with scripted(answer) as script, pytest.raises(error):
        list(connect(script.url, patience=QUICK).events("j"))
    assert len(script.heard) == 1


def test_without_patience_a_cut_is_an_error(connect: Connect) -> None:
    told = Told(200, story(0)[0][1], STREAM)
    follow = partial(connect, patience=Patience(seconds=0, first_pause=0.1))
    with scripted(told) as script, pytest.raises(Unavailable) as caught:
        list(follow(script.url).events("j"))
    assert caught.value.code == "events_cut"
