"""What jobs may take of the one that they are judged beside: bytes, modules, time."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

from core.alignments import AlignmentRecord
from core.archives import Unpacked, unpack
from core.jobs import JobRequest
from core.sources import ARCHIVE_NAME
from tests.worker.service import Service, golden_files
from tests.worker.test_company import policy, results, run_one, waiting
from worker import company
from worker.fetching import fetch

pytestmark = pytest.mark.usefixtures("worth_sharing")


def test_modules_that_the_job_lacks_are_not_waited_for(
    service: Service, record: AlignmentRecord
) -> None:
    """V of these would be read for others alone; the other way round is company."""
    small = service.accept(record, most_modules(), policy(0.35))
    large = service.accept(record, policy=policy(0.5))
    run_one(service)
    assert service.result(small) is not None
    assert results(service, [large]) == [None]
    other = service.accept(record, most_modules(), policy(0.9))
    run_one(service)
    assert service.result(large) is not None
    assert results(service, [other]) != [None]


def test_an_archive_is_opened_to_no_more_than_may_join(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts as it is unpacked: a small one may hold a hundred times its size."""
    limits: list[int] = []

    def recorded(archive: Path, folder: Path, *, max_bytes: int) -> Unpacked:
        limits.append(max_bytes)
        return unpack(archive, folder, max_bytes=max_bytes)

    monkeypatch.setattr("worker.fetching.unpack", recorded)
    files = golden_files()
    first = service.accept(record, policy=policy(0.35))
    packed = service.accept(record, {ARCHIVE_NAME: zipped(files)}, policy(0.5))
    run_one(service)
    assert limits == [company.LARGER * sum(map(len, files.values()))]
    service.work()
    states = [service.result(r) for r in (first, packed)]
    assert [r and r.state.value for r in states] == ["succeeded", "succeeded"]
    assert limits[1] > 2**20  # what its tenant may send, at its own turn


def test_all_together_are_no_more_than_memory_and_disk_bear(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room for one and a half: one joins, and nothing is left of the others."""
    size = sum(map(len, golden_files().values()))
    monkeypatch.setattr(company, "MOST_BYTES", size * 3 // 2)
    requests = waiting(service, record)
    run_one(service)
    found = results(service, requests)
    assert [commit is not None for commit in found] == [True, True, False, False]


def test_none_is_fetched_when_their_time_is_over(
    service: Service, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is slow to come, or to read, takes from the same time."""
    fetched: list[str] = []

    def recorded(request: JobRequest, *others: Any, **options: Any) -> Any:
        fetched.append(request.id)
        return fetch(request, *others, **options)

    monkeypatch.setattr(company, "fetch", recorded)
    monkeypatch.setattr(company, "SHARE_OF_TIME", 0.0)
    requests = waiting(service, record)
    run_one(service)
    assert service.result(requests[0]) is not None
    assert fetched == []


def most_modules() -> dict[str, bytes]:
    """Two thirds of the golden adapter's."""
    tensors = safetensors.torch.load(golden_files()["adapter_model.safetensors"])
    kept = {name: tensors[name].contiguous() for name in sorted(tensors)[: len(tensors) // 6 * 4]}
    config = golden_files()["adapter_config.json"]
    return {
        "adapter_model.safetensors": safetensors.torch.save(kept),
        "adapter_config.json": config,
    }


def zipped(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()
