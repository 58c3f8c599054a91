"""How many requests a minute each tenant may send, counted on the gate's Redis for all processes.

Redis only carries: where it does not answer, requests are let through and the log says so.
"""

import logging
import math
import time
from typing import Final

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core.errors import TooManyRequests
from core.settings import Settings
from core.tenant_limits import request_limit

WINDOW: Final = 60
PATIENCE: Final = 1.0  # seconds; an answer that takes longer is none
PAUSE: Final = 5.0  # seconds without an answer until Redis is asked again
_CONNECTIONS = 8

_log = logging.getLogger(__name__)


class RequestRates:
    """For one event loop. A sliding window of a minute, timed by Redis: one round trip a request,
    and nothing at all for a tenant without a bound."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = BlockingConnectionPool.from_url(
            settings.redis.url.get_secret_value(),
            max_connections=_CONNECTIONS,
            timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            socket_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
        self._storage = RedisStorage(
            "async+redis://",  # the pool has the address
            implementation="redispy",
            key_prefix=f"safelora:rates:{settings.queue.name}",
            connection_pool=self._pool,  # type: ignore[arg-type]  # handed to redis as it is
        )
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        self._silent_until = 0.0

    async def take(self, tenant: str) -> None:
        """Count one request. Raises `TooManyRequests` if the tenant has none left."""
        limit = request_limit(self._settings, tenant)
        if limit is None or time.monotonic() < self._silent_until:
            return
        item = RateLimitItemPerMinute(limit)
        try:
            if await self._limiter.hit(item, tenant):
                return
            counts = await self._storage.get_sliding_window(item.key_for(tenant), WINDOW)
        except RedisError as error:
            self._silent_until = time.monotonic() + PAUSE
            _log.warning("requests are let through uncounted for %d s: %s", PAUSE, error)
            return
        raise TooManyRequests(
            f"the tenant {tenant} may send {limit} requests a minute: wait as long as Retry-After"
            " says",
            retry_after=seconds_until_free(*counts, limit=limit),
        )

    async def close(self) -> None:
        await self._pool.aclose()


def seconds_until_free(
    previous: int, previous_left: float, current: int, current_left: float, *, limit: int
) -> int:
    """Whole seconds after which the window takes one more, if nobody else sends any.

    `previous` requests weigh less and less over the `previous_left` seconds; the `current` window
    lasts until `current_left`, which counts to the end of the one after it, has come down to
    `WINDOW`, and is the previous one from then on.
    """
    if current < limit:
        needed = previous_left - (limit - current) * WINDOW / previous if previous else 0.0
    else:
        needed = current_left - WINDOW + (current - limit) * WINDOW / current
    return max(1, math.floor(needed) + 1)
