"""A worker on a real queue, with results in a folder and on S3 alike."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from core.store import open_store
from core.store.settings import StoreSettings
from tests.servers import ValkeyServer
from tests.worker.service import Service, make_service


@pytest.fixture
def redis(valkey: ValkeyServer) -> Iterator[Redis]:
    with Redis.from_url(valkey.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def service(store_settings: StoreSettings, redis: Redis, tmp_path: Path) -> Iterator[Service]:
    store = open_store(store_settings)
    yield make_service(store, store_settings, redis, tmp_path)
    store.close()
