"""One caller follows one job: what Redis keeps of it, and from the store how it ended."""

import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import anyio
from fastapi.sse import format_sse_event
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from app.feed import BEGINNING
from app.services import Services
from app.views import Snapshot, find_job, job_view, progress_view, snapshot
from core.errors import NotFound, QueueError, RecordUnreadable, StoreError
from core.events import JobEvent
from core.jobs import JobRequest, JobResult

FINAL_ID: Final = "final"
HEARTBEAT_SECONDS = 15.0
_HEARTBEAT: Final = b": still here\n\n"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_LOOK_SECONDS = 2.0  # between two looks into the store
_LOOK_SECONDS_ALONE = 1.0  # while Redis says nothing

_log = logging.getLogger(__name__)


class _Over(Exception):
    """There is nothing left to follow."""


async def find_result(services: Services, job: JobRequest) -> JobResult | None:
    """How it ended. Raises `NotFound` if it was removed since, or `StoreError`."""
    return await run_in_threadpool(_result, services, job)


def _result(services: Services, job: JobRequest) -> JobResult | None:
    result = services.records.result(job.tenant, job.id)
    if result is None:
        find_job(services, job.tenant, job.id)
    return result


async def follow(
    services: Services, job: JobRequest, result: JobResult | None, last_event_id: str
) -> AsyncIterator[bytes]:
    """Frames for the events after `last_event_id`, or for all that are kept where it is none of
    those; then for the end, after which there are none.

    `result` is what the store says now. Ends early if the job is removed, or the gate is to stop.
    """
    line = _Line(services, job, result)
    try:
        await line.start(last_event_id)
        while not services.closing.is_set():
            for frame in await line.frames():
                line.spoke = time.monotonic()
                yield frame
            if line.has_more:
                continue
            if line.result is not None:
                yield _state(Snapshot(job, line.result, None), FINAL_ID)
                return
            if await line.look():
                continue  # what was told before the end comes before it
            if time.monotonic() - line.spoke >= HEARTBEAT_SECONDS:
                line.spoke = time.monotonic()
                yield _HEARTBEAT
            await anyio.sleep(line.pause)
            line.pause = min(2 * line.pause, _LONGEST_PAUSE)
    except _Over:
        return


@dataclass
class _Line:
    """Where one follower is."""

    services: Services
    job: JobRequest
    result: JobResult | None
    at: str = BEGINNING
    told: bool = False  # the follower knows a state of the job
    has_more: bool = False
    hears: bool = True  # Redis answers
    ending: bool = False  # the job is said to have ended
    pause: float = _FIRST_PAUSE
    spoke: float = field(default_factory=time.monotonic)
    looked: float = field(default_factory=time.monotonic)

    async def start(self, last_event_id: str) -> None:
        try:
            if await self.services.feed.holds(self.job.id, last_event_id):
                self.at, self.told = last_event_id, True
        except QueueError as error:
            self._deaf(error)

    async def frames(self) -> list[bytes]:
        """For what Redis has since the last time, after the job as it is if that was not told."""
        events = await self._events()
        self.ending |= any(event.kind == "ended" for event in events)
        shown = [event for event in events if event.kind != "ended"]
        frames = [_frame(self.job, event) for event in shown]
        if not self.told and self.result is None and not _tells_state(shown):
            seen = await self._present()
            self.ending |= seen.state.final
            if not seen.state.final:
                frames.insert(0, _state(seen, None))
        self.told = True
        if events:
            self.pause = _FIRST_PAUSE
        return frames

    async def look(self) -> bool:
        """Into the store, if it is time; True if the job has ended. Raises `_Over`."""
        patience = _LOOK_SECONDS if self.hears else _LOOK_SECONDS_ALONE
        if not self.ending and time.monotonic() - self.looked < patience:
            return False
        self.ending, self.looked = False, time.monotonic()
        try:
            self.result = await find_result(self.services, self.job)
        except NotFound:
            raise _Over from None
        except RecordUnreadable as error:
            _log.exception("the end of job %s cannot be read", self.job.id)
            raise _Over from error
        except StoreError as error:
            _log.warning("whether job %s has ended is unknown: %s", self.job.id, error)
        return self.result is not None

    async def _events(self) -> list[JobEvent]:
        before = self.at
        try:
            events, self.at = await self.services.feed.after(self.job.id, before)
        except QueueError as error:
            self._deaf(error)
            events = []
        else:
            self.hears = True
        self.has_more = self.at != before
        return events

    async def _present(self) -> Snapshot:
        if not self.hears:
            return Snapshot(self.job, None, None)
        try:
            return await run_in_threadpool(snapshot, self.services, self.job)
        except StoreError as error:
            _log.warning("the state of job %s is unknown: %s", self.job.id, error)
            return Snapshot(self.job, None, None)

    def _deaf(self, error: QueueError) -> None:
        self.hears = False
        _log.debug("the events of job %s are unknown: %s", self.job.id, error)


def _tells_state(events: list[JobEvent]) -> bool:
    return bool(events) and events[0].kind != "progress"


def _frame(job: JobRequest, event: JobEvent) -> bytes:
    if event.kind == "progress":
        view = progress_view(event.progress)
        assert view is not None  # noqa: S101  (as events are read)
        return _encoded("progress", view, event.id)
    return _state(Snapshot(job, None, event.progress), event.id)


def _state(seen: Snapshot, event_id: str | None) -> bytes:
    return _encoded("state", job_view(seen), event_id)


def _encoded(name: str, data: BaseModel, event_id: str | None) -> bytes:
    return format_sse_event(data_str=data.model_dump_json(), event=name, id=event_id)
