"""Results are brought where their owner wants them: whole, once, and over nothing."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from core.alignments import AlignmentRecord
from core.canonical import sha256_hex
from core.destinations import MANIFEST
from core.errors import StoreError
from core.jobs import JobRequest, JobResult, JobState, new_job_id, now
from core.settings import DestinationSettings, TenantSettings
from core.store import layout, open_store
from core.store.base import ObjectWriter
from core.store.s3 import S3Store
from core.store.settings import StoreSettings
from tests.buckets import BUCKET, access, foreign_bucket
from tests.servers import SeaweedServer
from tests.worker.built import Built
from tests.worker.service import TENANT, Service, golden_files, make_service
from worker.delivery import BROUGHT, deliver
from worker.interrupts import Cancelled
from worker.tracking import Tracker

REPORTS = {layout.REPORT_JSON, layout.REPORT_HTML}
ALL = REPORTS | {layout.ADAPTER_MODEL, layout.ADAPTER_CONFIG}


@dataclass(frozen=True)
class Platform:
    """A worker, and a folder of someone else's bucket that results are brought to."""

    service: Service
    built: Built
    theirs: S3Store
    folder: str

    @property
    def uri(self) -> str:
        return f"s3://{BUCKET}/{self.folder}/ft-1/"

    def run(self, **fields: Any) -> tuple[JobRequest, JobResult]:
        """A job with this destination, worked on to its end."""
        request = self.service.accept(self.record(), **{"destination": self.uri, **fields})
        self.service.work()
        result = self.service.result(request)
        assert result is not None
        return request, result

    def record(self) -> AlignmentRecord:
        """The golden pair, built."""
        return self.service.records.alignment("tiny") or self.built.lay_down(self.service)

    def there(self, place: str = "ft-1/") -> set[str]:
        return {key.removeprefix(place) for key in self.theirs.list(place)}

    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.theirs.get(f"ft-1/{MANIFEST}"))
        return found


Open = Callable[..., Platform]


@pytest.fixture
def open_platform(
    golden_build: Built, seaweed: SeaweedServer, redis: Redis, tmp_path: Path
) -> Iterator[Open]:
    """The gate's own store is a folder; tests/service has the whole way on S3."""
    folder = uuid4().hex
    store_settings = StoreSettings(path=tmp_path / "store")
    store, theirs = open_store(store_settings), foreign_bucket(seaweed, folder)

    def opened(**changed: Any) -> Platform:
        allowed = DestinationSettings(s3_allow=[f"s3://{BUCKET}/{folder}/"], s3=access(seaweed))
        settings = {"destinations": allowed, **changed}
        service = make_service(store, store_settings, redis, tmp_path, **settings)
        return Platform(service, golden_build, theirs, folder)

    yield opened
    store.close()
    theirs.close()


@pytest.fixture
def platform(open_platform: Open) -> Platform:
    return open_platform()


def test_the_files_and_the_manifest_are_there(platform: Platform) -> None:
    """Byte for byte those of the result, named with sizes and digests."""
    request, result = platform.run()
    assert (result.state, result.error) == (JobState.SUCCEEDED, None)
    assert platform.there() == ALL | {MANIFEST}
    manifest = platform.manifest()
    assert result.commit is not None
    assert {name: manifest[name] for name in ("version", "job", "verdict", "recipe")} == {
        "version": 1,
        "job": request.id,
        "verdict": result.commit.verdict,
        "recipe": result.commit.recipe,
    }
    assert manifest["alignment"] == {"name": "tiny", "id": request.alignment.id}
    assert manifest["policy"] == request.policy.as_json()
    assert {file["name"] for file in manifest["files"]} == ALL
    for file in manifest["files"]:
        data = platform.theirs.get(f"ft-1/{file['name']}")
        assert (file["size"], file["sha256"]) == (len(data), sha256_hex(data))
        key = layout.output(TENANT, result.commit.recipe, result.commit.output, file["name"])
        assert platform.service.store.get(key) == data
    assert "deliver" in result.timings


def test_of_a_rejected_adapter_only_the_report_is_brought(platform: Platform) -> None:
    """And that it was rejected."""
    files = {**golden_files(), layout.ADAPTER_CONFIG: b"{"}
    _, result = platform.run(files=files)
    assert result.state is JobState.REJECTED
    assert platform.there() == REPORTS | {MANIFEST}
    assert (platform.manifest()["verdict"], platform.manifest()["state"]) == ("rejected",) * 2


def test_an_earlier_result_is_brought_too(platform: Platform) -> None:
    """Without being computed again."""
    _, first = platform.run(destination=None)
    assert platform.there() == set()
    _, again = platform.run()
    assert again.commit == first.commit
    assert platform.there() == ALL | {MANIFEST}


def test_nothing_is_written_over(platform: Platform) -> None:
    """What lies there stays, the job says so, and no manifest tells of a mixture."""
    hostile = [b"", b"{}", b'{"job": null}', b"x" * 5000]
    for number, (name, data) in enumerate(product(sorted(ALL | {MANIFEST}), hostile)):
        place = f"taken-{number}/"
        platform.theirs.put(place + name, data)
        _, result = platform.run(destination=f"s3://{BUCKET}/{platform.folder}/{place}")
        assert result.state is JobState.FAILED
        assert result.error is not None
        assert result.error.code == "destination_taken"
        assert platform.theirs.get(place + name) == data
        there = platform.there(place)
        assert there == {MANIFEST} if name == MANIFEST else MANIFEST not in there


def test_another_jobs_manifest_is_another_result(platform: Platform) -> None:
    """The same adapter posted to the same place twice: the second finds it taken."""
    first, _ = platform.run()
    _, second = platform.run()
    assert second.error is not None
    assert second.error.code == "destination_taken"
    assert platform.manifest()["job"] == first.id


def test_a_retry_finds_its_own_place(platform: Platform) -> None:
    """The job that it does again brought everything and could not say so any more."""
    first, _ = platform.run()
    again_job, again = platform.run(retry_of=first.id)
    assert again.state is JobState.SUCCEEDED
    assert platform.manifest()["job"] == first.id
    _, once_more = platform.run(retry_of=again_job.id)
    assert once_more.state is JobState.SUCCEEDED
    _, other = platform.run(retry_of=new_job_id())
    assert other.state is JobState.FAILED


class Killed(BaseException):
    """The worker ends here."""


def test_what_a_killed_worker_brought_is_gone_on_from(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any number of puts: no manifest before the end, and the next run brings the rest."""
    record = platform.record()
    left = 0
    put, writer = S3Store.put, S3Store.writer

    def dying(method: Callable[..., Any]) -> Callable[..., Any]:
        def called(self: S3Store, *args: Any, **kwargs: Any) -> Any:
            nonlocal left
            if self._bucket == BUCKET:
                if left == 0:
                    raise Killed
                left -= 1
            return method(self, *args, **kwargs)

        return called

    for last in range(9):  # a file is a writer and its put, the manifest one more put
        place = f"killed-{last}/"
        request = platform.service.accept(
            record, destination=f"s3://{BUCKET}/{platform.folder}/{place}", enqueue=False
        )
        left = last
        with monkeypatch.context() as patched:
            patched.setattr(S3Store, "writer", dying(writer))
            patched.setattr(S3Store, "put", dying(put))
            with pytest.raises(Killed):
                _sanitize(platform, request)
        assert len(platform.there(place)) == last // 2
        assert MANIFEST not in platform.there(place)
        _sanitize(platform, request)
        assert platform.there(place) == ALL | {MANIFEST}
        result = platform.service.result(request)
        assert result is not None
        assert result.state is JobState.SUCCEEDED


def _sanitize(platform: Platform, request: JobRequest) -> None:
    platform.service.tasks.sanitize(tenant=TENANT, job_id=request.id, attempts_left=0)


def test_the_list_is_asked_again_when_it_is_brought(open_platform: Open) -> None:
    """The operator may have thought better of it since the job was accepted."""
    platform = open_platform(tenants={TENANT: TenantSettings(destinations=["s3://else/"])})
    _, result = platform.run()
    assert result.error is not None
    assert (result.state, result.error.code) == (JobState.FAILED, "destination_not_allowed")
    assert platform.there() == set()


def test_a_bucket_that_is_not_there_is_its_owners_to_mend(open_platform: Open) -> None:
    """No attempt would help."""
    platform = open_platform()
    settings = platform.service.tasks.workshop.settings
    entry = ["s3://no-such-bucket/"]
    platform = open_platform(
        destinations=settings.destinations.model_copy(update={"s3_allow": entry})
    )
    _, result = platform.run(destination="s3://no-such-bucket/x/")
    assert result.error is not None
    assert (result.state, result.error.code) == (JobState.FAILED, "destination_unwritable")


def test_a_destination_that_does_not_answer_is_tried_again(
    open_platform: Open, seaweed: SeaweedServer
) -> None:
    """As a store that fails is; with the last attempt the job fails, and says why."""
    silent = access(seaweed).model_copy(
        update={"endpoint_url": "http://127.0.0.1:9", "max_attempts": 1}
    )
    platform = open_platform()
    allow = platform.service.tasks.workshop.settings.destinations.s3_allow
    platform = open_platform(destinations=DestinationSettings(s3_allow=allow, s3=silent))
    request = platform.service.accept(platform.record(), destination=platform.uri, enqueue=False)
    with pytest.raises(StoreError) as caught:
        platform.service.tasks.sanitize(tenant=TENANT, job_id=request.id, attempts_left=1)
    assert caught.value.code == "destination_unavailable"
    assert platform.service.result(request) is None
    _sanitize(platform, request)
    result = platform.service.result(request)
    assert result is not None
    assert result.error is not None
    assert result.error.code == "destination_unavailable"
    assert "127.0.0.1" not in result.error.message


def test_a_cancelled_job_leaves_no_manifest(platform: Platform) -> None:
    """It is stopped between two pieces."""
    request, result = platform.run(destination=None)
    assert result.commit is not None

    def cancelled(stage: str, *_: int) -> None:
        if stage == "deliver":
            raise Cancelled

    workshop = platform.service.tasks.workshop
    with pytest.raises(Cancelled):
        deliver(request, platform.uri, result.commit, workshop, Tracker(cancelled))
    assert platform.there() == set()
    assert list(platform.theirs.unfinished("")) == []


def test_a_job_cancelled_at_the_last_moment_leaves_no_manifest(platform: Platform) -> None:
    """Though no piece comes after it, between which it could be stopped."""
    _, first = platform.run(destination=None)
    assert first.commit is not None
    service = platform.service
    record = service.records.alignment("tiny")
    assert record is not None
    request = service.accept(record, destination=platform.uri, enqueue=False)
    service.records.finish(
        request.tenant, request.id, JobResult(state=JobState.CANCELLED, finished_at=now())
    )
    with pytest.raises(Cancelled):
        deliver(request, platform.uri, first.commit, service.tasks.workshop, Tracker())
    assert platform.there() == ALL


def test_a_damaged_copy_of_ours_is_never_brought(platform: Platform) -> None:
    """The digest of the commit decides, not what the store gives out."""
    _, result = platform.run(destination=None)
    commit = result.commit
    assert commit is not None
    key = layout.output(TENANT, commit.recipe, commit.output, layout.ADAPTER_MODEL)
    platform.service.store.put(key, b"x" + platform.service.store.get(key)[1:])
    _, again = platform.run()
    assert again.error is not None
    assert again.error.code == "output_changed"
    assert platform.there() <= {layout.ADAPTER_CONFIG}


def test_a_file_that_was_replaced_meanwhile_is_not_sealed(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some stores let two writers win: whoever sees it says so."""
    bring = S3Store.writer

    def overtaken(self: S3Store, key: str, *, if_absent: bool = False) -> ObjectWriter:
        if key.endswith(layout.REPORT_JSON):
            platform.theirs.put(f"ft-1/{layout.ADAPTER_CONFIG}", b"another's")
        return bring(self, key, if_absent=if_absent)

    monkeypatch.setattr(S3Store, "writer", overtaken)
    _, result = platform.run()
    assert result.error is not None
    assert result.error.code == "destination_taken"
    assert MANIFEST not in platform.there()


def test_two_runs_at_once_bring_the_same(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job is delivered at least once: the other run puts each file and the manifest first."""
    _, result = platform.run(destination=None)
    assert result.commit is not None
    commit, workshop = result.commit, platform.service.tasks.workshop
    record = platform.service.records.alignment("tiny")
    assert record is not None
    request = platform.service.accept(record, destination=platform.uri, enqueue=False)
    writer, other = S3Store.writer, [True]

    def overtaken(self: S3Store, key: str, *, if_absent: bool = False) -> ObjectWriter:
        made = writer(self, key, if_absent=if_absent)
        if self._bucket == BUCKET and other:
            other.clear()
            deliver(request, platform.uri, commit, workshop, Tracker())
        return made

    monkeypatch.setattr(S3Store, "writer", overtaken)
    deliver(request, platform.uri, commit, workshop, Tracker())
    assert platform.there() == ALL | {MANIFEST}


def test_adapter_zip_is_not_brought() -> None:
    """It is the two files once more."""
    assert layout.ADAPTER_ARCHIVE not in BROUGHT
