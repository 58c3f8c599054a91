"""A worker on a real queue, with results in a folder and on S3 alike."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from core.alignments import AlignmentRecord
from core.store import open_store
from core.store.settings import StoreSettings
from tests.servers import ValkeyServer
from tests.worker.service import Service, make_service
from worker import company


@pytest.fixture
def redis(valkey: ValkeyServer) -> Iterator[Redis]:
    with Redis.from_url(valkey.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def record(service: Service) -> AlignmentRecord:
    """The golden pair, built."""
    return service.register()


@pytest.fixture
def worth_sharing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny model's V is too, to the jobs that wait for it."""
    monkeypatch.setattr(company, "WORTH_SHARING", 0)


@pytest.fixture
def service(store_settings: StoreSettings, redis: Redis, tmp_path: Path) -> Iterator[Service]:
    store = open_store(store_settings)
    yield make_service(store, store_settings, redis, tmp_path)
    store.close()
