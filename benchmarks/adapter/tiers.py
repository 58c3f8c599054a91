"""One adapter sanitized with its alignment in one tier after the other, each beside the least that
the tier's bytes cost in the same run."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from redis import Redis

from benchmarks.adapter.engine import NO_BOUND, Engine
from benchmarks.adapter.least import (
    fetch_from_redis,
    fetch_from_store,
    forget_files,
    hash_files,
    read_files,
)
from benchmarks.figures.clock import in_turn, seconds_of
from benchmarks.figures.machine import reading_memory
from core.store.s3 import S3Store
from tests.servers import SeaweedServer, ValkeyServer
from worker.alignment.naming import shard_digest
from worker.alignment.tiers import RedisTier, publish


@dataclass(frozen=True)
class Measured:
    """Seconds; `of` says what the least is."""

    title: str
    tier: str
    gigabytes: float
    engine: float
    least: float
    of: str
    stages: Mapping[str, float]

    @property
    def ratio(self) -> float:
        return self.engine / self.least


def measure_near(title: str, engine: Engine, rounds: int) -> Iterator[Measured]:
    """Warm in RAM, and warm in the page cache of the local disk."""
    warm, disk = replace(engine, ram=NO_BOUND), replace(engine)
    reading, read_bytes = reading_memory()
    times = in_turn(
        {
            "bandwidth": reading,
            "RAM": warm.run,
            "read": lambda: read_files(engine.files),
            "hash": lambda: hash_files(engine.files),
            "disk": disk.run,
        },
        rounds,
    )
    seconds = {name: taken.median for name, taken in times.items()}
    twice = 2 * engine.v_bytes * seconds["bandwidth"] / read_bytes
    yield _measured(title, "RAM", warm, seconds["RAM"], {"V read twice": twice})
    least = {name: seconds[name] for name in ("read", "hash")}
    yield _measured(title, "disk", disk, seconds["disk"], least)


def measure_cold(title: str, engine: Engine, rounds: int) -> Measured:
    """From the disk itself."""
    cold = replace(engine)

    def after_forgetting(work: Callable[[], object]) -> float:
        forget_files(engine.files)
        return seconds_of(work)

    read, ran = [], []
    for _ in range(rounds):
        read.append(after_forgetting(lambda: read_files(engine.files)))
        ran.append(after_forgetting(cold.run))
    hashed = seconds_of(lambda: hash_files(engine.files))
    least = {"read, cold": median(read), "hash": hashed}
    return _measured(title, "cold disk", cold, median(ran), least)


def measure_fetched(title: str, engine: Engine, scratch: Path, rounds: int) -> Iterator[Measured]:
    """From S3, and from Redis, where fetching from S3 has left it."""
    room = f"{engine.gigabytes * 1.5 + 1:.0f}gb"
    with (
        SeaweedServer() as seaweed,
        ValkeyServer("--maxmemory", room, "--maxmemory-policy", "allkeys-lru") as valkey,
    ):
        store = S3Store(seaweed.settings())
        publish(engine.folder, engine.manifest, store, before_each=lambda: None)
        alone = replace(engine, cache=scratch / "fetched", store=store)
        digests = [digest for name in engine.manifest.files if (digest := shard_digest(name))]
        yield _fetched(
            title,
            "S3",
            alone,
            lambda: fetch_from_store(store, engine.manifest.id, engine.manifest.files),
            rounds,
        )
        with Redis.from_url(valkey.url) as client:
            for name, digest in zip(engine.manifest.files, digests, strict=True):
                client.set(f"safelora:shard:{digest}", (engine.folder / name).read_bytes())
        redis = RedisTier(valkey.url)
        yield _fetched(
            title,
            "Redis",
            replace(alone, redis=redis),
            lambda: fetch_from_redis(valkey.url, digests),
            rounds,
        )
        redis.close()
        store.close()


def _fetched(
    title: str, tier: str, engine: Engine, fetch: Callable[[], None], rounds: int
) -> Measured:
    fetched, ran = [], []
    for _ in range(rounds):
        fetched.append(seconds_of(fetch))
        engine.empty_disk()
        ran.append(seconds_of(engine.run))
    least = {"fetch, one connection": median(fetched)}
    measured = _measured(title, tier, engine, median(ran), least)
    engine.empty_disk()
    return measured


def _measured(
    title: str, tier: str, engine: Engine, seconds: float, least: Mapping[str, float]
) -> Measured:
    of = max(least, key=lambda name: least[name])
    return Measured(title, tier, engine.gigabytes, seconds, least[of], of, dict(engine.stages))
