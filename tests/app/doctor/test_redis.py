"""What the doctor says of a Redis, each made for real."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from app.doctor.examination import examine
from app.doctor.redis import redis_checks
from core.queue import JobQueue
from core.queue_state import beat
from core.settings import RedisSettings, Settings
from tests.app.doctor.conftest import of, state_of
from tests.servers import ValkeyServer, free_ports


def at(settings: Settings, url: str, cache: str | None = None) -> Settings:
    alignments = settings.alignments.model_copy(
        update={"redis_url": None if cache is None else SecretStr(cache)}
    )
    redis = RedisSettings(url=SecretStr(url))
    return settings.model_copy(update={"redis": redis, "alignments": alignments})


@pytest.fixture(scope="module")
def evicting() -> Iterator[ValkeyServer]:
    """One made to cache: it forgets as it likes."""
    flags = ("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")
    with ValkeyServer(*flags) as server:
        yield server


def test_one_that_evicts_may_not_hold_the_queue(settings: Settings, evicting: ValkeyServer) -> None:
    """It is the right one for the cache, and the one without a bound is not."""
    wrong = redis_checks(at(settings, evicting.url))
    assert of(wrong, "redis eviction")[0][0] == "failed"
    keeping = settings.redis.url.get_secret_value()
    right = list(redis_checks(at(settings, keeping, cache=evicting.url)))
    assert {state_of(right, name) for name in ("redis eviction", "redis cache")} == {"ok"}
    assert state_of(redis_checks(at(settings, evicting.url, cache=keeping)), "redis cache") == (
        "warning"
    )


def test_queue_and_cache_are_two(settings: Settings) -> None:
    """Whatever the address: another database of the same server is the same memory."""
    url = settings.redis.url.get_secret_value()
    checks = redis_checks(at(settings, url, cache=f"{url.removesuffix('/0')}/1"))
    assert state_of(checks, "redis cache") == "failed"


def test_a_cache_that_is_away_stops_nobody(settings: Settings) -> None:
    """A warning: workers read from the store."""
    (port,) = free_ports(1)
    url = settings.redis.url.get_secret_value()
    checks = redis_checks(at(settings, url, cache=f"redis://127.0.0.1:{port}/0"))
    assert state_of(checks, "redis cache") == "warning"


@pytest.mark.parametrize(
    ("flags", "state"),
    [((), "warning"), (("--appendonly", "yes"), "ok"), (("--save", "60 1"), "ok")],
)
def test_what_a_restart_loses_is_told(
    settings: Settings, flags: tuple[str, ...], state: str
) -> None:
    """Of one that keeps nothing on disk; a journal or snapshots will do."""
    with ValkeyServer(*flags) as server:
        assert state_of(redis_checks(at(settings, server.url)), "redis persistence") == state


def test_one_that_tells_nothing_of_itself_is_no_error(settings: Settings) -> None:
    """As where others run it: INFO is renamed there."""
    with ValkeyServer("--rename-command", "INFO", "") as server:
        checks = list(redis_checks(at(settings, server.url)))
    assert state_of(checks, "redis") == "ok"
    assert state_of(checks, "redis memory") == "warning"


def test_without_redis_the_rest_is_looked_at(settings: Settings) -> None:
    """One failure names it; store and disk are looked at all the same."""
    (port,) = free_ports(1)
    checks = list(examine(at(settings, f"redis://:hush@127.0.0.1:{port}/0")))
    assert state_of(checks, "redis") == "failed"
    assert of(checks, "workers") == []
    assert state_of(checks, "store") == "ok"
    assert "hush" not in repr(checks)


def test_nothing_of_it_stays(settings: Settings, queue: JobQueue) -> None:
    """Keys in Redis, and what there is of the store, are as before."""
    beat(queue)
    before = set(queue.redis.keys("*"))
    list(examine(settings))
    assert set(queue.redis.keys("*")) == before
    left = [path for path in settings.store.path.rglob("*") if path.is_file()]
    assert left == []
