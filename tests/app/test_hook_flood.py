"""Bodies sent to the hooks by who has no secret: what they cost is bounded, whoever sends how many.

Three hundred connections with 1 MiB each took 350 MB of an API that had no hooks at all.
"""

from typing import Any

import anyio
import pytest
from starlette.requests import Request

from app.hooks import bodies
from app.hooks.bodies import MAX_EVENT, PLAIN, ROOM, EventBodies
from core.errors import RequestTimeout, TooManyRequests
from tests.app.conftest import OpenGate
from tests.app.gate import Gate, code_of

SENDERS = ROOM // MAX_EVENT + 8
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def sending(*pieces: bytes, then: Any = anyio.sleep_forever) -> Request:
    """A request whose sender says no more after these pieces, or does what `then` says."""
    left = list(pieces)

    async def receive() -> dict[str, Any]:
        if not left:
            left.append(await then() or b"")
        return {"type": "http.request", "body": left.pop(0), "more_body": True}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


def whole(body: bytes) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


async def test_what_nobody_ends_to_send_holds_a_bounded_room() -> None:
    """Senders that stop one byte before the end of a large event: those beyond the room are sent
    away, an event of the usual size is read all the same, and all is given back at the end."""
    events, refused = EventBodies(), []

    async def stall() -> None:
        try:
            await events.read(sending(b"x" * (MAX_EVENT - 1)))
        except TooManyRequests as error:
            refused.append(error.code)

    async with anyio.create_task_group() as senders:
        for _ in range(SENDERS):
            senders.start_soon(stall)
        await anyio.wait_all_tasks_blocked()
        assert ROOM - MAX_EVENT <= events.held <= ROOM
        assert refused
        assert set(refused) == {"hooks_busy"}
        assert await events.read(whole(b"e" * PLAIN)) == b"e" * PLAIN
        senders.cancel_scope.cancel()
    assert events.held == 0


async def test_an_event_by_drops_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then is no silence, and would hold a connection for months."""
    monkeypatch.setattr(bodies, "SECONDS", 0.05)

    async def drop() -> bytes:
        await anyio.sleep(0.001)
        return b"x"

    with pytest.raises(RequestTimeout):
        await EventBodies().read(sending(then=drop))


async def test_what_was_read_is_what_was_sent() -> None:
    """Byte for byte, and nothing stays counted."""
    events = EventBodies()
    for size in (0, 1, PLAIN, PLAIN + 1, MAX_EVENT):
        body = bytes(n % 251 for n in range(size))
        assert await events.read(whole(body)) == body
    assert events.held == 0


def test_without_hooks_nothing_is_read(gate: Gate, open_gate: OpenGate) -> None:
    """The answer comes before the body, whatever that is: it would be 413."""
    too_large = b"x" * (MAX_EVENT + 1)
    answer = gate.client.post("/v1/hooks/any", content=too_large)
    assert (answer.status_code, code_of(answer)) == (404, "hook_not_found")
    rule = {"kind": "huggingface", "secret": "s" * 16, "adapter": "s3://bucket/{id}/"}
    answer = open_gate(hooks={"one": rule}).client.post("/v1/hooks/any", content=too_large)
    assert (answer.status_code, code_of(answer)) == (413, "too_large")


def test_a_full_room_is_told_by_429(open_gate: OpenGate) -> None:
    """With the seconds to wait; an event of the usual size is answered as ever."""
    rule = {"kind": "huggingface", "secret": "s" * 16, "adapter": "s3://bucket/{id}/"}
    gate = open_gate(hooks={"one": rule})
    gate.client.app.state.hooks.bodies.held = ROOM  # type: ignore[attr-defined]
    answer = gate.client.post("/v1/hooks/one", content=b"x" * MAX_EVENT)
    assert (answer.status_code, code_of(answer)) == (429, "hooks_busy")
    assert int(answer.headers["Retry-After"]) > 0
    answer = gate.client.post("/v1/hooks/one", content=b"x")
    assert (answer.status_code, code_of(answer)) == (401, "hook_signature_invalid")
