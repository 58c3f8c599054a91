"""The events of jobs as Redis keeps them, read without a thread: many may wait for many jobs."""

import re
from typing import Final, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from core.events import JobEvent, StreamEntry, read_event, stream_key
from core.redis_errors import redis_errors
from core.settings import RedisSettings

BATCH: Final = 200
BEGINNING: Final = "0-0"  # before every event
_CONNECTIONS: Final = 8
_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")
_LARGEST = 2**64 - 1


class Feed:
    """For one event loop. Every Redis error becomes a `QueueError`."""

    def __init__(self, settings: RedisSettings) -> None:
        self._redis = Redis.from_pool(
            BlockingConnectionPool.from_url(
                settings.url.get_secret_value(),
                max_connections=_CONNECTIONS,
                timeout=settings.answer_timeout,
                socket_connect_timeout=settings.connect_timeout,
                socket_timeout=settings.answer_timeout,
                retry=Retry(NoBackoff(), 1),
            )
        )

    async def holds(self, job_id: str, event_id: str) -> bool:
        """False also for what is no id of an event."""
        if not _is_id(event_id):
            return False
        with redis_errors():
            return bool(await self._redis.xrange(stream_key(job_id), event_id, event_id))

    async def after(self, job_id: str, event_id: str) -> tuple[list[JobEvent], str]:
        """The next events, `BATCH` at most, and the id of the last one read: there may be more
        after it if it is another one than `event_id`."""
        with redis_errors():
            found = await self._redis.xrange(stream_key(job_id), f"({event_id}", count=BATCH)
        entries = cast(list[StreamEntry], found)
        events = [event for event in map(read_event, entries) if event is not None]
        return events, entries[-1][0].decode() if entries else event_id

    async def close(self) -> None:
        await self._redis.aclose()


def _is_id(text: str) -> bool:
    match = _ID.fullmatch(text)
    return match is not None and all(int(part) <= _LARGEST for part in match.groups())
