"""The client that is awaited: `Gate`, method by method."""

from collections.abc import AsyncIterator, Mapping
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx2

from safelora import about, alignments, fetching, following, jobs
from safelora.address import find_address
from safelora.alignments import SeenAlignment
from safelora.async_driver import AsyncDriver
from safelora.jobs import LONG_POLL, SeenJob
from safelora.models import Alignment, Delivery, Event, Job, Report
from safelora.patience import Patience
from safelora.sources import Source, order
from safelora.wire import Terms


class AsyncGate:
    """As `Gate`, for asyncio. `http` is an `httpx2.AsyncClient` of yours."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        patience: Patience | None = None,
        allow_http: bool = False,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        address = find_address(url, key, allow_http=allow_http)
        self._terms = Terms(address, patience or Patience(), timeout)
        # No proxy is asked for the way to this machine.
        self._http = http or httpx2.AsyncClient(trust_env=not address.local)
        self._owns_http = http is None
        self._driver = AsyncDriver(self._http)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def url(self) -> str:
        return self._terms.address.url

    async def close(self) -> None:
        """As `Gate.close`."""
        if self._owns_http:
            await self._http.aclose()

    async def version(self) -> str:
        """As `Gate.version`."""
        return await self._driver.run(about.version(self._terms))

    # Jobs

    async def submit(
        self,
        source: Source,
        *,
        alignment: str | None = None,
        policy: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
        destination: str | None = None,
        callback_url: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """As `Gate.submit`."""
        call = order(
            source,
            alignment=alignment,
            policy=policy,
            metadata=metadata,
            destination=destination,
            callback_url=callback_url,
            idempotency_key=idempotency_key,
        )
        return await self._driver.run(jobs.submit(self._terms, call))

    async def job(self, job: str | Job) -> Job:
        """As `Gate.job`."""
        return await self._driver.run(jobs.get(self._terms, job))

    async def wait(
        self,
        job: str | Job,
        *,
        timeout: float | None = None,
        poll: float = LONG_POLL,
        seen: SeenJob | None = None,
    ) -> Job:
        """As `Gate.wait`."""
        return await self._driver.run(jobs.wait(self._terms, job, timeout, poll, seen))

    def events(self, job: str | Job, *, last: str = "") -> AsyncIterator[Event]:
        """As `Gate.events`."""
        return self._driver.each(following.events(self._terms, job, last))

    def jobs(self, *, state: str | None = None, alignment: str | None = None) -> AsyncIterator[Job]:
        """As `Gate.jobs`."""
        return self._driver.each(jobs.pages(self._terms, state, alignment))

    async def cancel(self, job: str | Job) -> Job:
        """As `Gate.cancel`."""
        return await self._driver.run(jobs.cancel(self._terms, job))

    async def retry(self, job: str | Job, *, idempotency_key: str | None = None) -> Job:
        """As `Gate.retry`."""
        return await self._driver.run(jobs.retry(self._terms, job, idempotency_key))

    async def delete(self, job: str | Job) -> None:
        """As `Gate.delete`."""
        await self._driver.run(jobs.delete(self._terms, job))

    async def deliveries(self, job: str | Job) -> list[Delivery]:
        """As `Gate.deliveries`."""
        return await self._driver.run(jobs.deliveries(self._terms, job))

    # Results

    async def report(self, job: str | Job) -> Report:
        """As `Gate.report`."""
        return await self._driver.run(jobs.report(self._terms, job))

    async def report_bytes(self, job: str | Job, kind: Literal["json", "html"] = "json") -> bytes:
        """As `Gate.report_bytes`."""
        return await self._driver.run(jobs.report_bytes(self._terms, job, kind))

    async def download(self, job: str | Job, folder: str | PathLike[str]) -> list[Path]:
        """As `Gate.download`."""
        return await self._driver.run(fetching.download(self._terms, job, Path(folder)))

    # Alignments

    async def alignments(self) -> list[Alignment]:
        """As `Gate.alignments`."""
        return await self._driver.run(alignments.every(self._terms))

    async def alignment(self, name: str) -> Alignment:
        """As `Gate.alignment`."""
        return await self._driver.run(alignments.get(self._terms, name))

    async def register(self, name: str, base: str, aligned: str, **fields: Any) -> Alignment:
        """As `Gate.register`."""
        order = {"name": name, "base": base, "aligned": aligned, **fields}
        return await self._driver.run(alignments.register(self._terms, order))

    async def set_policies(self, name: str, **policies: Mapping[str, Any] | None) -> Alignment:
        """As `Gate.set_policies`."""
        return await self._driver.run(alignments.judge(self._terms, name, policies))

    async def wait_for_alignment(
        self,
        alignment: str | Alignment,
        *,
        timeout: float | None = None,
        poll: float = 1.0,
        seen: SeenAlignment | None = None,
    ) -> Alignment:
        """As `Gate.wait_for_alignment`."""
        return await self._driver.run(alignments.wait(self._terms, alignment, timeout, poll, seen))

    async def delete_alignment(self, name: str) -> None:
        """As `Gate.delete_alignment`."""
        await self._driver.run(alignments.delete(self._terms, name))
