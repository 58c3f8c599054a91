"""Settings of a gate that lacks nothing but what a test breaks."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from app.doctor.check import Check
from core.queue import JobQueue, connect
from core.records import Records
from core.settings import AlignmentSettings, LimitSettings, QueueSettings, RedisSettings, Settings
from core.store import open_store
from core.store.base import ObjectStore
from core.store.settings import StoreSettings
from tests.servers import ValkeyServer


@pytest.fixture
def settings(tmp_path: Path, valkey: ValkeyServer) -> Settings:
    """Of a local store, and of a queue of its own."""
    return Settings(
        store=StoreSettings(path=tmp_path / "store"),
        redis=RedisSettings(url=SecretStr(valkey.url)),
        queue=QueueSettings(name=f"doctor-{uuid4().hex}"),
        alignments=AlignmentSettings(cache=tmp_path / "alignments", disk_bytes=1, ram_bytes=1),
        limits=LimitSettings(upload=1),
        scratch=tmp_path / "scratch",
    )


@pytest.fixture
def store(settings: Settings) -> Iterator[ObjectStore]:
    opened = open_store(settings.store)
    yield opened
    opened.close()


@pytest.fixture
def records(store: ObjectStore) -> Records:
    return Records(store)


@pytest.fixture
def queue(settings: Settings) -> Iterator[JobQueue]:
    with connect(settings.redis) as redis:
        yield JobQueue(redis, settings.queue)


def of(checks: Iterable[Check], name: str) -> list[tuple[str, str]]:
    """State and words of the checks of this name; whatever is wrong says what to do."""
    found = [check for check in checks if check.name == name]
    assert all(check.do for check in found if check.state != "ok")
    return [(check.state, check.found) for check in found]


def state_of(checks: Iterable[Check], name: str) -> str:
    [(state, _)] = of(checks, name)
    return state
