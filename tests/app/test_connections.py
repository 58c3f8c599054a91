"""Connections that ask nothing: who has no key holds none of them for good."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from app.connections import HEAD_SECONDS, PatientProtocol
from app.serving import run
from core.settings import Settings

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class _Hasty(PatientProtocol):
    head_seconds = 0.2


class _App:
    """Answers once it is let, in pieces."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.asked = asyncio.Event()

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        self.asked.set()
        headers = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"on", "more_body": True})
        await self.let.wait()
        await send({"type": "http.response.body", "body": b"ly"})


@asynccontextmanager
async def serving(app: _App) -> AsyncIterator[int]:
    config = uvicorn.Config(app, http=_Hasty, ws="none", lifespan="off", log_config=None)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, [listener])
        while not server.started:
            await anyio.sleep(0.01)
        yield listener.getsockname()[1]
        app.let.set()
        server.should_exit = True


async def closed(port: int, sent: bytes, *, drops: bytes = b"") -> bytes:
    """What came until the other side closed; `drops` are sent again and again."""
    came = b""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)

    async def drip() -> None:
        while drops:
            writer.write(drops)
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    try:
        async with asyncio.timeout(10):
            while piece := await reader.read(1000):
                came += piece
    except ConnectionError:  # it closed before it had read every drop
        pass
    finally:
        dripping.cancel()
        writer.close()
    return came


@pytest.mark.parametrize("sent", [b"", b"G", HEAD[:-2], b"GET / HTTP/1.1\r\nX: "])
@pytest.mark.parametrize("drops", [b"", b"x"])
async def test_a_head_that_does_not_end_is_not_waited_for(sent: bytes, drops: bytes) -> None:
    """Whether nothing comes of it, or a byte now and then."""
    async with serving(_App()) as port:
        answer = await closed(port, sent, drops=drops)
        assert b" 200 " not in answer


async def test_nor_is_the_head_of_a_second_request() -> None:
    """After the first was answered, and drops keep uvicorn's own clock from running out."""
    app = _App()
    app.let.set()
    async with serving(app) as port:
        answer = await closed(port, HEAD, drops=b"G")
        assert answer.count(b" 200 ") == 1


async def test_an_answer_takes_its_time() -> None:
    """Who has asked is not cut off, though it outlasts one that asks nothing."""
    app = _App()
    async with serving(app) as port:
        asking = asyncio.create_task(closed(port, HEAD + HEAD))
        await app.asked.wait()
        for _ in range(2):
            await closed(port, b"")
        app.let.set()
        answer = await asking
        assert answer.count(b"only") == 2


def test_the_gate_is_served_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """With half a minute."""
    seen: list[uvicorn.Config] = []
    stopped: Callable[..., None] = lambda self: seen.append(self.config)  # noqa: E731
    monkeypatch.setattr(uvicorn.Server, "run", stopped)
    with pytest.raises(SystemExit):
        run(Settings(), "127.0.0.1", 0)
    assert seen[0].http is PatientProtocol
    assert PatientProtocol.head_seconds == HEAD_SECONDS == 30.0
