"""Which jobs have just ended, heard from Redis: whoever waits for one looks at once.

Word may be lost, with Redis or without: it only hastens, and who waits looks by itself too.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core.events import ENDS_CHANNEL
from core.settings import RedisSettings

_QUIET_SECONDS: Final = 10.0  # then it is asked whether it is still there
_REST_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Ends:
    """For one event loop; one connection to Redis, however many wait, from the first one on."""

    def __init__(self, settings: RedisSettings) -> None:
        self._redis = Redis.from_url(
            settings.url.get_secret_value(),
            socket_connect_timeout=settings.connect_timeout,
            socket_timeout=settings.answer_timeout,
            retry=Retry(NoBackoff(), 0),
        )
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._is_over = False
        self.hears = False
        """Whether word of an end would come just now, as far as is known."""

    @contextmanager
    def of(self, job_id: str) -> Iterator[asyncio.Event]:
        """Set whenever this job is said to have ended."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        told = asyncio.Event()
        self._waiting.setdefault(job_id, set()).add(told)
        try:
            yield told
        finally:
            waiting = self._waiting[job_id]
            waiting.discard(told)
            if not waiting:
                del self._waiting[job_id]

    def waiting_for(self) -> frozenset[str]:
        """The jobs whose end somebody waits for."""
        return frozenset(self._waiting)

    async def close(self) -> None:
        self._is_over = True  # for a cancellation may be lost in redis-py's own timeouts
        listening = self._listening
        if listening is not None and listening.get_loop() is asyncio.get_running_loop():
            listening.cancel()
            await asyncio.wait([listening], timeout=_REST_SECONDS)
        await self._redis.aclose()

    async def _listen(self) -> None:
        while not self._is_over:
            try:
                await self._hear()
            except (RedisError, OSError) as error:
                _log.debug("ends of jobs are not heard of: %s", error)
            self.hears = False
            await asyncio.sleep(_REST_SECONDS)

    async def _hear(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(ENDS_CHANNEL)
            asked = False
            while not self._is_over:
                message = await pubsub.get_message(timeout=_QUIET_SECONDS)
                if message is None and asked:
                    return
                asked = message is None
                if message is None:
                    await pubsub.ping()
                elif message["type"] == "subscribe":
                    self.hears = True
                    self._tell_all()
                elif message["type"] == "message":
                    self._tell(message["data"].decode(errors="replace"))

    def _tell(self, job_id: str) -> None:
        for told in self._waiting.get(job_id, ()):
            told.set()

    def _tell_all(self) -> None:
        """Who waits may have missed its word."""
        for job_id in self._waiting:
            self._tell(job_id)
