"""What was begun and will not be finished is deleted: uploads to the gate, puts to the store."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.settings import RetentionSettings
from core.store import layout
from core.store.s3 import S3Store
from tests.core.store.test_ages import begin
from tests.worker.shelf import INPUTS, NOW, Shelf, StubbornStore, put_after_listing
from worker.expiry import ExpiryCounts, expire

INPUT_KEYS = {f"input/{name}" for name in INPUTS}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "store")


def test_an_upload_that_was_never_accepted_goes_after_a_day(shelf: Shelf) -> None:
    """Its inputs and its mark; one that is still coming in stays."""
    old, young = shelf.job(2, request=False), shelf.job(0.5, request=False)
    assert expire(shelf.store, RetentionSettings(), NOW) == ExpiryCounts(uploads=1)
    assert shelf.of_job(old) == set()
    assert shelf.of_job(young) == INPUT_KEYS | {"mark"}


def test_an_upload_that_is_sent_again_is_not_abandoned(shelf: Shelf) -> None:
    """Its key stands for an id of last week, and the mark was put anew just now."""
    again = shelf.job(8, request=False)
    shelf.put(layout.pending("acme", again), 0.01)
    assert expire(shelf.store, RetentionSettings(), NOW) == ExpiryCounts()
    assert shelf.of_job(again) == INPUT_KEYS | {"mark"}


def test_nor_is_one_that_is_sent_again_at_this_moment(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mark was old when it was listed."""
    again, store = shelf.job(2, request=False), shelf.store
    put_after_listing(store, monkeypatch, shelf, layout.pending("acme", again))
    assert expire(store, RetentionSettings(), NOW) == ExpiryCounts()
    assert shelf.of_job(again) == INPUT_KEYS | {"mark"}


def test_inputs_of_earlier_versions_go_without_a_mark(shelf: Shelf) -> None:
    """A gate that stored the mark last and was killed before left them."""
    left, coming = (shelf.job(8, request=False, mark=False) for _ in range(2))
    shelf.put(layout.job_input("acme", coming, INPUTS[1]), 0.01)
    assert expire(shelf.store, RetentionSettings(), NOW) == ExpiryCounts(uploads=1)
    assert shelf.of_job(left) == set()
    assert shelf.of_job(coming) == INPUT_KEYS


def test_a_mark_outlives_inputs_that_stay(shelf: Shelf) -> None:
    """By it they are found the next time."""
    left = shelf.job(2, request=False)
    counts = expire(StubbornStore(shelf.root, INPUTS[1]), RetentionSettings(), NOW)
    assert counts == ExpiryCounts(failed=1)
    assert shelf.of_job(left) == {f"input/{INPUTS[1]}", "mark"}
    assert expire(shelf.store, RetentionSettings(), NOW) == ExpiryCounts(uploads=1)


def test_what_a_killed_process_was_writing_goes(shelf: Shelf) -> None:
    """After a day without another byte."""
    store = shelf.store  # which sweeps when it opens
    old, young = shelf.put(".tmp/old", 2), shelf.put(".tmp/young", 0.5)
    assert expire(store, RetentionSettings(), NOW) == ExpiryCounts(puts=1)
    assert not (shelf.root / old).exists()
    assert (shelf.root / young).exists()


def test_multipart_uploads_that_were_abandoned_are_aborted(s3_store: S3Store) -> None:
    """Of jobs, results and alignments, but of nothing else in the bucket."""
    for key in ("tenants/acme/jobs/x/input/a", "tenants/acme/results/x/y/a", "alignments/x/a"):
        begin(s3_store, key)
    other = begin(s3_store, "backup/a")
    now = datetime.now(UTC)
    assert expire(s3_store, RetentionSettings(), now + timedelta(hours=23)) == ExpiryCounts()
    assert expire(s3_store, RetentionSettings(), now + timedelta(hours=25)) == ExpiryCounts(puts=3)
    assert [put.id for put in s3_store.unfinished("")] == [other]
