"""The service as it is on several machines, and adapters for it."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from benchmarks.service.asking import Asked, Client, Job, multipart, rate
from benchmarks.service.made import Kind, Pair, Template
from chaos.processes import Stack
from core.store.settings import StoreSettings
from tests.service.running import Running

PAIR = Pair("made-up", layers=4, width=128)
KIND = Kind("small", PAIR, modules=len(PAIR.modules), rank=8)
PAUSE = 0.02
"""Seconds by which each chunk to and from the store is late: as one that is far away."""


class Scaled:
    """A running service, and clients of both its APIs."""

    def __init__(self, stack: Stack, template: Template) -> None:
        self.stack = stack
        self._template = template

    def ask(self, clients: int, *, seconds: float = 0.0) -> tuple[float, list[Asked]]:
        """Jobs a second while each client always has one under way, one each at the least."""
        return asyncio.run(self._ask(clients, seconds))

    def another(self) -> Job:
        return multipart("/v1/jobs", self._template.another())

    async def _ask(self, count: int, seconds: float) -> tuple[float, list[Asked]]:
        ports = [urlsplit(url).port or 0 for url in self.stack.apis]
        async with AsyncExitStack() as open_ones:
            clients = [
                await open_ones.enter_async_context(Client(ports[n % len(ports)], ""))
                for n in range(count)
            ]
            return await rate(clients, self.another, max(seconds, 1e-3))


@contextmanager
def scaled(
    folder: Path, workers: int, *, cache_url: str | None = None, pause: float = PAUSE
) -> Iterator[Scaled]:
    """Two APIs and so many workers, with the pair's alignment built; stopped at the end."""
    names = [f"worker-{n + 1}" for n in range(workers)]
    environment = {"SAFELORA_ALIGNMENTS__ROOTS": json.dumps([str(folder)])}
    if cache_url is not None:
        environment["SAFELORA_ALIGNMENTS__REDIS_URL"] = cache_url
    with Stack(folder / "stack", environment=environment, pause=pause, workers=names) as stack:
        with httpx2.Client(base_url=stack.apis[0], trust_env=False, timeout=120.0) as client:
            store = StoreSettings(kind="s3", s3=stack.store)
            order = PAIR.save(folder)
            name, base, aligned = (str(order.pop(key)) for key in ("name", "base", "aligned"))
            running = Running(client, store, stack.log("api-1"))
            record = running.register(name, Path(base), Path(aligned), **order)
        if record["state"] != "ready":
            raise SystemExit(f"the alignment was not built: {record}")
        yield Scaled(stack, KIND.template())


def succeeded(asked: Sequence[Asked]) -> int:
    return sum(one.job["state"] == "succeeded" for one in asked)
