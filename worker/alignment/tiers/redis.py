"""The Redis tier: shards in a cache instance that the workers of several machines share.

Nothing depends on it: whatever goes wrong with it is a miss.
"""

import logging
import mmap
import time
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from worker.alignment.naming import digest_like

LARGEST = 512 * 2**20  # bytes that one value may have
PIECE = 16 * 2**20
CONNECT_SECONDS = 0.5
ANSWER_SECONDS = 5.0  # to send the largest value takes 3.5 s at 150 MB/s
REST_SECONDS = 30.0

_log = logging.getLogger(__name__)


class RedisTier:
    """Shards by their digest. A Redis that does not answer is left alone for `REST_SECONDS`."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), retries=0),
        )
        self._rests_until = 0.0
        self._warned: set[str] = set()

    def fetch(self, digest: str, target: Path) -> bool:
        """Write the shard to `target`; False if it is not to be had. A damaged copy is deleted."""
        if self._rests:
            return False
        try:
            whole = self._read(digest, target)
        except RedisError as error:
            self._failed(error)
            return False
        return whole

    def keep(self, digest: str, path: Path) -> None:
        """Put the file at `path` there, if it is no larger than a value may be."""
        if self._rests or not 0 < path.stat().st_size <= LARGEST:
            return
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping,
            memoryview(mapping) as data,
        ):
            try:
                self._redis.set(_key(digest), data)
            except RedisError as error:
                self._failed(error)

    def close(self) -> None:
        self._redis.close()

    @property
    def _rests(self) -> bool:
        return time.monotonic() < self._rests_until

    def _read(self, digest: str, target: Path) -> bool:
        key = _key(digest)
        size = self._redis.strlen(key)
        if not isinstance(size, int) or size == 0:
            return False
        found = digest_like(digest)
        with target.open("wb") as file:
            for start in range(0, size, PIECE):
                piece = self._redis.getrange(key, start, start + PIECE - 1)
                if isinstance(piece, bytes):
                    found.update(piece)
                    file.write(piece)
        if found.hexdigest() == digest:
            return True
        self._redis.delete(key)
        return False

    def _failed(self, error: RedisError) -> None:
        """Warn once of each kind of failure, told by its type and its first word."""
        if isinstance(error, RedisConnectionError | RedisTimeoutError):
            self._rests_until = time.monotonic() + REST_SECONDS
        kind = f"{type(error).__name__}: {str(error).partition(' ')[0]}"
        if kind not in self._warned:
            self._warned.add(kind)
            _log.warning("the cache Redis failed, the object store serves instead: %s", error)


def _key(digest: str) -> str:
    return f"safelora:shard:{digest}"
