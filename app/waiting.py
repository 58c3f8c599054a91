"""A caller waits for the end of a job: told of it by Redis, and looking now and then anyway."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.services import Services

LOOK_SECONDS: Final = 1.0  # between two looks while word of an end would come
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # while none would

Seen = TypeVar("Seen")


async def awaited(
    services: Services,
    request: Request,
    job_id: str,
    seconds: float,
    look: Callable[[], Seen],
    *,
    is_over: Callable[[Seen], bool],
) -> Seen:
    """What `look`, which blocks, sees once that `is_over`, or when the time is up, the caller has
    gone or the process is to end."""
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    if seconds <= 0:
        return await run_in_threadpool(look)
    with services.ends.of(job_id) as told:
        while True:
            told.clear()  # before the look: what is told from here on may be news to it
            seen = await run_in_threadpool(look)
            left = deadline - time.monotonic()
            if is_over(seen) or left <= 0 or services.closing.is_set():
                return seen
            if await request.is_disconnected():
                return seen
            hears = services.ends.hears
            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), min(LOOK_SECONDS if hears else pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)
