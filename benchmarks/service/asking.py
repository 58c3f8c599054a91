"""Clients that cost little themselves: on a machine of few cores they stand in the gate's way."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from benchmarks.service.made import BOUNDARY

WAIT_SECONDS = 60
Json = dict[str, Any]


class AskingFailed(Exception):
    """The gate answered something else than it was to."""


@dataclass(frozen=True)
class Asked:
    """A job from its POST to its end; `posted` is when the POST was answered. Seconds."""

    whole: float
    posted: float
    job: Json = field(repr=False)


@dataclass(frozen=True)
class Job:
    """What is posted where."""

    path: str
    body: bytes
    kind: str


def multipart(path: str, body: bytes) -> Job:
    return Job(path, body, f"multipart/form-data; boundary={BOUNDARY}")


class Client:
    """One connection that stays open; one request at a time."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._authorization = f"Authorization: Bearer {key}\r\n"

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def run(self, job: Job) -> Asked:
        """Post it, and wait for its end."""
        start = time.perf_counter()
        accepted = await self._ask("POST", job.path, job.body, job.kind)
        posted = time.perf_counter() - start
        url = f"{job.path}/{accepted['id']}?wait={WAIT_SECONDS}"
        ended = await self._ask("GET", url)
        whole = time.perf_counter() - start
        if ended["state"] != "succeeded":
            raise AskingFailed(f"{url} is {ended['state']}: {ended}")
        return Asked(whole, posted, ended)

    async def _ask(self, method: str, path: str, body: bytes = b"", kind: str = "") -> Json:
        sent = f"Content-Type: {kind}\r\n" if kind else ""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n{self._authorization}"
            f"{sent}Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode())
        self._writer.write(body)
        await self._writer.drain()
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        length = answer.lower().partition("content-length:")[2].partition("\r\n")[0]
        content = await self._reader.readexactly(int(length))
        if answer.split(" ", 2)[1] not in ("200", "202"):
            raise AskingFailed(f"{method} {path}: {answer.splitlines()[0]} {content!r}")
        answered: Json = json.loads(content)
        return answered


async def rate(
    clients: list[Client], make: Callable[[], Job], seconds: float
) -> tuple[float, list[Asked]]:
    """Jobs a second while all clients always have one under way, and all that ended meanwhile."""
    start = time.perf_counter()
    asked: list[Asked] = []

    async def keep_asking(client: Client) -> None:
        while time.perf_counter() - start < seconds:
            asked.append(await client.run(make()))

    await asyncio.gather(*map(keep_asking, clients))
    return len(asked) / (time.perf_counter() - start), asked
