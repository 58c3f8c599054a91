"""What redis-py raises, as the queue's own error."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from core.errors import QueueError


@contextmanager
def redis_errors() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise QueueError(f"Redis does not answer as it should: {error}") from error
