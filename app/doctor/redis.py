"""The Redis of the queue, and the one that caches alignments if there is one."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from app.doctor.check import Check, failed, ok, warning
from app.doctor.clocks import clock_check
from core.queue import connect
from core.redis_errors import redis_errors
from core.settings import Settings

OLDEST = (6, 2)  # the first that has BLMOVE, by which no job is lost between two lists

Info = dict[str, Any]


def redis_checks(settings: Settings) -> Iterator[Check]:
    """Raises `QueueError` where it does not answer."""
    with connect(settings.redis, answer_within=settings.redis.answer_timeout) as redis:
        with redis_errors():
            start = time.perf_counter()
            redis.ping()
            seconds = time.perf_counter() - start
            before = time.time()
            whole, part = redis.time()
            clock = clock_check("redis clock", whole + part / 1e6, before)
        info = _info(redis)
    if info is None:
        yield ok("redis", f"answers in {1000 * seconds:.1f} ms")
        yield clock
        yield warning("redis memory", "INFO is not allowed here", "allow it, or look there oneself")
        return
    yield _version(info, seconds)
    yield clock
    yield _persistence(info)
    yield _eviction(info)
    if settings.alignments.redis_url is not None:
        yield _cache(settings, settings.alignments.redis_url, info)


def _info(redis: Redis) -> Info | None:
    """None where whoever runs it keeps that to himself."""
    with redis_errors():
        try:
            found: Info = redis.info()
        except ResponseError:
            return None
        with suppress(ResponseError):
            found["save"] = redis.config_get("save")["save"]
    return found


def _version(info: Info, seconds: float) -> Check:
    """Valkey says in `redis_version` which Redis it is like."""
    like = str(info["redis_version"])
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {like}"
    found = f"{name}, answers in {1000 * seconds:.1f} ms"
    if tuple(int(part) for part in like.split(".")[:2]) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        return failed("redis", found, f"jobs may be lost: run Redis {needed} or later, or Valkey")
    return ok("redis", found)


def _persistence(info: Info) -> Check:
    name = "redis persistence"
    if info["aof_enabled"]:
        return ok(name, "appendonly")
    if info.get("save"):
        return ok(name, f"snapshots: save {info['save']}")
    return warning(
        name,
        "none: a restart empties it",
        "appendonly yes, if the queue is to stand at once; else the courier makes it again from the"
        " store, and people sign in again",
    )


def _eviction(info: Info) -> Check:
    name, policy = "redis eviction", info["maxmemory_policy"]
    limit, used = info["maxmemory"], info["used_memory"]
    room = f"{used / 2**20:.0f} of {limit / 2**20:.0f} MiB used" if limit else "no maxmemory"
    found = f"{policy}, {room}"
    if policy != "noeviction":
        words = "set maxmemory-policy noeviction: it must not forget jobs"
        return failed(name, found, words) if limit else warning(name, found, words)
    if limit and used > 0.9 * limit:
        return warning(name, found, "raise maxmemory: full, it takes no job any more")
    return ok(name, found)


def _cache(settings: Settings, url: SecretStr, queue: Info) -> Check:
    name = "redis cache"
    access = settings.redis.model_copy(update={"url": url})
    try:
        with connect(access, answer_within=access.answer_timeout) as redis:
            info = redis.info()
    except RedisError as error:
        do = "start it, or unset SAFELORA_ALIGNMENTS__REDIS_URL: workers read from the store"
        return warning(name, f"does not answer as it should: {error}", do)
    if info["run_id"] == queue["run_id"]:
        do = "give it a Redis of its own: it fills whatever it has"
        return failed(name, "it is the queue's", do)
    policy, limit = info["maxmemory_policy"], info["maxmemory"]
    if policy not in ("allkeys-lru", "allkeys-lfu") or not limit:
        found = f"{policy}, maxmemory {limit}"
        return warning(name, found, "set maxmemory, and maxmemory-policy allkeys-lru")
    return ok(name, f"{policy}, maxmemory {limit / 2**30:.1f} GiB")
