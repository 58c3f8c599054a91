"""A TCP proxy in front of the object store, which fails on command."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Coroutine
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, Literal, Self, TypeVar

Mode = Literal["pass", "reset", "blackhole", "latency", "truncate"]

LATENCY = (0.2, 0.4)  # seconds that each chunk is late, between these
_CHUNK = 1 << 16
_ANSWER_SECONDS = 10.0  # for the proxy's own thread to do as it is told
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

T = TypeVar("T")


@dataclass(eq=False)
class _Connection:
    """Both its ends, and how many bytes of answers went through since the mode was set."""

    ends: list[asyncio.StreamWriter]
    answered: int = 0
    work: list[asyncio.Task[None]] = field(default_factory=list)

    def reset(self) -> None:
        for end in self.ends:
            _reset(end)
        for task in self.work:
            task.cancel()


class StoreProxy:
    """Passes bytes on to a server on the port `upstream`, from a thread of its own.

    What its `mode` says applies to open connections and to new ones, once it is set:
    `reset` breaks each off with a RST; `blackhole` takes them and passes nothing on;
    `latency` passes each chunk on late; `truncate` closes after `keep` bytes of answers.
    `pause`: seconds that each chunk is late in every mode.
    """

    def __init__(self, upstream: int, *, pause: float = 0.0, keep: int = 600) -> None:
        self.pause = pause
        self.keep = keep
        self._upstream = upstream
        self._mode: Mode = "pass"
        self._open: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._thread = Thread(target=self._loop.run_forever, name="store-proxy", daemon=True)
        self._thread.start()
        listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = self._ask(asyncio.start_server(self._serve, sock=listener))

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._ask(self._switch(mode))

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def close(self) -> None:
        """Break off what is open, and free the port."""
        self._ask(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(_ANSWER_SECONDS)

    async def _switch(self, mode: Mode) -> None:
        self._mode = mode
        for connection in self._open:
            connection.answered = 0
            if mode == "reset":
                connection.reset()
        if mode == "blackhole":
            self._flowing.clear()
        else:
            self._flowing.set()

    async def _shut(self) -> None:
        self._server.close()
        await self._switch("reset")
        while self._open:
            await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection([writer])
        self._open.add(connection)
        try:
            await self._connect(connection, reader)
        except OSError:  # the store is down
            connection.reset()
        finally:
            for end in connection.ends:
                await _close(end)
            self._open.remove(connection)

    async def _connect(self, connection: _Connection, questions: asyncio.StreamReader) -> None:
        await self._flowing.wait()
        answers, upstream = await asyncio.open_connection("127.0.0.1", self._upstream)
        connection.ends.append(upstream)
        if self._mode == "reset":
            connection.reset()
            return
        connection.work = [
            asyncio.create_task(self._ask_on(questions, upstream)),
            asyncio.create_task(self._answer(answers, connection)),
        ]
        await asyncio.wait(connection.work, return_when=asyncio.FIRST_COMPLETED)
        for task in connection.work:
            task.cancel()
        await asyncio.wait(connection.work)

    async def _ask_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):  # broken off by one end: so is the other, then
            while chunk := await source.read(_CHUNK):
                await self._delay()
                target.write(chunk)
                await target.drain()

    async def _answer(self, source: asyncio.StreamReader, connection: _Connection) -> None:
        client = connection.ends[0]
        with contextlib.suppress(OSError):
            while chunk := await source.read(_CHUNK):
                await self._delay()
                if self._mode == "truncate":
                    chunk = chunk[: max(0, self.keep - connection.answered)]
                connection.answered += len(chunk)
                client.write(chunk)
                await client.drain()
                if self._mode == "truncate" and connection.answered >= self.keep:
                    return

    async def _delay(self) -> None:
        late = self.pause
        if self._mode == "latency":
            late += random.uniform(*LATENCY)
        if late:
            await asyncio.sleep(late)
        await self._flowing.wait()


def _reset(end: asyncio.StreamWriter) -> None:
    """Close at once: with a RST, and without what was still to be sent."""
    with contextlib.suppress(OSError):  # closed already
        raw = end.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    end.transport.abort()


async def _close(end: asyncio.StreamWriter) -> None:
    """Send what is still to be sent, then close."""
    end.close()
    with contextlib.suppress(OSError):  # broken off by the other side
        await end.wait_closed()
