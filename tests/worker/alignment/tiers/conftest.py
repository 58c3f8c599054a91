"""One small alignment for all, a store that has it, and a cache Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from core.alignments import Manifest
from tests.servers import ValkeyServer
from tests.worker.alignment.tiers.making import CountingStore, Machine, build_small, published
from worker.alignment.tiers import RedisTier


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    return build_small(tmp_path_factory.mktemp("small"))


@pytest.fixture
def counting(tmp_path: Path) -> CountingStore:
    return CountingStore(tmp_path / "store")


@pytest.fixture
def manifest(built: tuple[Path, Manifest], counting: CountingStore) -> Manifest:
    return published(built, counting)


@pytest.fixture
def machine(tmp_path: Path, counting: CountingStore) -> Machine:
    """Without Redis."""
    return Machine(tmp_path / "cache", counting)


@pytest.fixture
def cache_url(valkey: ValkeyServer) -> str:
    """Of an empty Redis: no other test uses this database of the server."""
    url = valkey.url.removesuffix("/0") + "/1"
    with Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def redis_tier(cache_url: str) -> Iterator[RedisTier]:
    tier = RedisTier(cache_url)
    yield tier
    tier.close()


@pytest.fixture
def client(cache_url: str) -> Iterator[Redis]:
    """What a stranger on the cache Redis would use."""
    with Redis.from_url(cache_url) as client:
        yield client
