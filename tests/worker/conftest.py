"""A worker on a real queue, with results in a folder and on S3 alike."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from core.alignments import AlignmentRecord
from core.store import open_store
from core.store.settings import StoreSettings
from tests.servers import ValkeyServer
from tests.worker.built import Built
from tests.worker.service import Service, make_service
from worker import company


@pytest.fixture
def redis(valkey: ValkeyServer) -> Iterator[Redis]:
    with Redis.from_url(valkey.url) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def golden_build(valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The golden pair, built once."""
    folder = tmp_path_factory.mktemp("built")
    settings = StoreSettings(path=folder / "store")
    with closing(open_store(settings)) as store, Redis.from_url(valkey.url) as redis:
        redis.flushall()
        return Built.by(make_service(store, settings, redis, folder))


@pytest.fixture
def record(golden_build: Built, service: Service) -> AlignmentRecord:
    """The golden pair, built."""
    return golden_build.lay_down(service)


@pytest.fixture
def worth_sharing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny model's V is too, to the jobs that wait for it."""
    monkeypatch.setattr(company, "WORTH_SHARING", 0)


@pytest.fixture
def service(store_settings: StoreSettings, redis: Redis, tmp_path: Path) -> Iterator[Service]:
    store = open_store(store_settings)
    yield make_service(store, store_settings, redis, tmp_path)
    store.close()
