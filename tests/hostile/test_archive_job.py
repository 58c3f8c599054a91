"""An archive that lies in S3 is first opened by the worker: what is wrong with it is a finding."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from core.jobs import JobState
from core.policy import Extras, Policy
from core.sources import ARCHIVE_NAME
from core.store import open_store
from core.store.settings import StoreSettings
from tests.archives import MODEL, entry, pack_tar, pack_zip, tar_of
from tests.servers import ValkeyServer
from tests.worker.service import Service, golden_files, make_service


@pytest.fixture
def service(valkey: ValkeyServer, tmp_path: Path) -> Iterator[Service]:
    kind = StoreSettings(path=tmp_path / "store")
    with Redis.from_url(valkey.url) as redis:
        redis.flushall()
        store = open_store(kind)
        yield make_service(store, kind, redis, tmp_path)
        store.close()


def test_archive_that_is_not_opened_rejects_the_adapter(service: Service) -> None:
    """Climbing, twice the same, or cut short: `archive_refused`, however much may be stripped."""
    record = service.register()
    strip = Policy(extras=Extras(default="strip"))
    climbing = pack_tar({f"../{MODEL}": b"x"})
    twice = tar_of(entry(MODEL), entry(MODEL))
    for archive in (climbing, twice, pack_zip(golden_files())[:-30]):
        result = service.run(record, {ARCHIVE_NAME: archive}, strip)
        assert result.state is JobState.REJECTED
        assert result.commit is not None
        found = [(f.code, f.outcome, f.subject) for f in result.commit.findings]
        assert found == [("archive_refused", "refused", ARCHIVE_NAME)]
        assert sorted(f.name for f in result.commit.files) == ["report.html", "report.json"]
    assert service.run(record, {ARCHIVE_NAME: pack_tar(golden_files())}).state is JobState.SUCCEEDED
