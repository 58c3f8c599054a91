"""Jobs whose earlier result expired, in whole or in part, end right."""

from datetime import UTC, datetime, timedelta

import pytest

from core.alignments import AlignmentRecord
from core.jobs import Commit, JobResult, JobState
from core.settings import RetentionSettings
from core.store import layout
from tests.worker.service import TENANT, Service
from worker.expiry import expire


def commit_of(result: JobResult) -> Commit:
    """Whichever job it was made for."""
    assert result.commit is not None
    return result.commit.of_no_job


def files_of(commit: Commit) -> list[str]:
    return [layout.output(TENANT, commit.recipe, commit.output, file.name) for file in commit.files]


@pytest.mark.parametrize("lost", [1, None], ids=["one file", "all files"])
def test_a_commit_without_files_gets_them_again(
    service: Service, record: AlignmentRecord, lost: int | None
) -> None:
    """A job that is posted again stores the same output under the same digest."""
    first = service.run(record).commit
    assert first is not None
    before = {key: service.store.get(key) for key in files_of(first)}
    for key in files_of(first)[:lost]:
        service.store.delete(key)

    again = service.run(record)

    assert again.state is JobState.SUCCEEDED
    assert commit_of(again) == first.of_no_job
    assert {key: service.store.get(key) for key in files_of(first)} == before


def test_a_commit_of_other_files_that_are_gone_is_replaced(
    service: Service, record: AlignmentRecord
) -> None:
    """Another device may have come to other bytes: no job ends with files that are not there."""
    first = service.run(record).commit
    assert first is not None
    for key in files_of(first):
        service.store.delete(key)
    key = layout.commit(TENANT, first.recipe)
    service.store.put(key, first.model_copy(update={"output": "0" * 40}).as_bytes())

    again = service.run(record)

    assert again.state is JobState.SUCCEEDED
    assert commit_of(again) == first.of_no_job
    assert all(service.store.info(key) for key in files_of(first))
    assert service.records.committed(TENANT, first.recipe) == again.commit


def test_an_expired_result_is_worked_out_again(service: Service, record: AlignmentRecord) -> None:
    """After expiry the recipe starts from nothing, and comes to the same."""
    first = service.run(record).commit
    assert first is not None
    later = datetime.now(UTC) + timedelta(days=31)
    counts = expire(service.store, RetentionSettings(results=30), later)
    assert (counts.results, counts.inputs, counts.failed) == (1, 1, 0)
    assert service.records.committed(TENANT, first.recipe) is None

    assert commit_of(service.run(record)) == first.of_no_job
    assert all(service.store.info(key) for key in files_of(first))
