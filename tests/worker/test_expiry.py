"""What is past its age is deleted, what nobody will finish too, and nothing else."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.errors import StoreError
from core.records import Records
from core.settings import Ages, RetentionSettings
from core.store import layout
from core.store.base import ObjectInfo, ObjectStore
from tests.worker.shelf import (
    INPUTS,
    NOW,
    OUTPUTS,
    DyingStore,
    Killed,
    Shelf,
    StubbornStore,
    id_made,
    put_after_listing,
)
from worker.expiry import ExpiryCounts, expire

WEEK_MONTH_YEAR = RetentionSettings(inputs=7, results=30, jobs=365)
INPUT_KEYS = {f"input/{name}" for name in INPUTS}
RECORDS = {"request.json", "result.json"}
HOUR = 1 / 24


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "store")


def test_inputs_go_after_their_days_and_the_job_stays(shelf: Shelf) -> None:
    """Of jobs that have ended; what they came to can be asked for as before."""
    old, young = shelf.job(9, ended=8), shelf.job(6, ended=6)
    assert expire(shelf.store, WEEK_MONTH_YEAR, NOW) == ExpiryCounts(inputs=1)
    assert shelf.of_job(old) == RECORDS
    assert shelf.of_job(young) == RECORDS | INPUT_KEYS


def test_a_job_that_has_not_ended_loses_nothing(shelf: Shelf) -> None:
    """However long it waits, and whether or not its mark is still there."""
    jobs = [shelf.job(age, mark=mark) for age in (1, 9, 900) for mark in (True, False)]
    before = shelf.all_keys()
    assert expire(shelf.store, WEEK_MONTH_YEAR, NOW) == ExpiryCounts()
    assert shelf.all_keys() == before
    assert all(shelf.of_job(job_id) >= INPUT_KEYS | {"request.json"} for job_id in jobs)


def test_a_job_is_kept_its_days_from_its_end(shelf: Shelf) -> None:
    """One that waited long for a worker can still be asked how it ended."""
    waited = shelf.job(400, ended=1)
    assert expire(shelf.store, WEEK_MONTH_YEAR, NOW) == ExpiryCounts()
    assert shelf.of_job(waited) == RECORDS | INPUT_KEYS


def test_old_jobs_go_whole(shelf: Shelf) -> None:
    """With their inputs, whatever lies beside those, and a mark that a killed process left."""
    old, young = shelf.job(400, ended=399, mark=True), shelf.job(300, ended=299)
    shelf.put(f"{layout.job('acme', old)}/attempts/1.json", 400)
    assert expire(shelf.store, WEEK_MONTH_YEAR, NOW) == ExpiryCounts(jobs=1, inputs=1, uploads=1)
    assert shelf.of_job(old) == set()
    assert shelf.of_job(young) == RECORDS


@pytest.mark.parametrize("deletes", range(4))
def test_no_job_looks_unfinished_wherever_deleting_stops(shelf: Shelf, deletes: int) -> None:
    """After any number of deletes the job is not there for callers, or has its result."""
    job_id = shelf.job(400, ended=399)
    with pytest.raises(Killed):
        expire(DyingStore(shelf.root, deletes), WEEK_MONTH_YEAR, NOW)
    left = shelf.of_job(job_id)
    assert "result.json" in left
    assert "request.json" in left or not left & INPUT_KEYS
    assert expire(shelf.store, WEEK_MONTH_YEAR, NOW).jobs == 1
    assert shelf.of_job(job_id) == set()


def test_a_result_goes_after_its_days(shelf: Shelf) -> None:
    """With all its files; a younger one keeps all of them."""
    old, young = shelf.result(31), shelf.result(29)
    assert expire(shelf.store, WEEK_MONTH_YEAR, NOW) == ExpiryCounts(results=1)
    assert shelf.of_result(old) == set()
    assert len(shelf.of_result(young)) == len(OUTPUTS) + 1


def test_a_renewed_result_stays(shelf: Shelf) -> None:
    """It is as old as its commit, not as its files."""
    renewed = shelf.result(300, commit=1)
    assert expire(shelf.store, WEEK_MONTH_YEAR, NOW) == ExpiryCounts()
    assert len(shelf.of_result(renewed)) == len(OUTPUTS) + 1


def test_a_result_that_is_renewed_while_it_is_listed_stays(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is answered with it at this very moment does not lose it."""
    recipe, store = shelf.result(31), shelf.store
    put_after_listing(store, monkeypatch, shelf, layout.commit("acme", recipe))
    assert expire(store, WEEK_MONTH_YEAR, NOW) == ExpiryCounts()
    assert len(shelf.of_result(recipe)) == len(OUTPUTS) + 1


def test_files_stay_where_their_commit_comes_back(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job was about to renew it when it was deleted."""
    recipe, store = shelf.result(31), shelf.store
    delete = store.delete

    def renewed_after(key: str) -> None:
        delete(key)
        shelf.put(layout.commit("acme", recipe), 0)

    monkeypatch.setattr(store, "delete", renewed_after)
    assert expire(store, WEEK_MONTH_YEAR, NOW) == ExpiryCounts()
    assert len(shelf.of_result(recipe)) == len(OUTPUTS) + 1


@pytest.mark.parametrize("deletes", range(1, len(OUTPUTS) + 1))
def test_no_commit_ever_names_a_file_that_is_gone(shelf: Shelf, deletes: int) -> None:
    """It goes first; what is left of the files goes the next time."""
    recipe = shelf.result(31)
    with pytest.raises(Killed):
        expire(DyingStore(shelf.root, deletes), WEEK_MONTH_YEAR, NOW)
    assert layout.commit("acme", recipe) not in shelf.all_keys()
    assert expire(shelf.store, WEEK_MONTH_YEAR, NOW) == ExpiryCounts(results=1)
    assert shelf.of_result(recipe) == set()


def test_files_that_are_being_stored_wait_for_their_commit(shelf: Shelf) -> None:
    """For a day at least, however short results are kept; and those stored anew outlive the
    commit that they had."""
    storing, anew = shelf.result(0.5), shelf.result(0.01, commit=2)
    shelf.store.delete(layout.commit("acme", storing))
    hours = RetentionSettings(results=2 * HOUR)
    expire(shelf.store, hours, NOW)
    assert len(shelf.of_result(storing)) == len(OUTPUTS)
    assert len(shelf.of_result(anew)) == len(OUTPUTS)


def test_idempotency_keys_are_forgotten(shelf: Shelf) -> None:
    """After their own days, whatever became of the job."""
    old, young = (shelf.put(layout.idempotency("acme", f"{age}"), age) for age in (31, 29))
    assert expire(shelf.store, RetentionSettings(), NOW) == ExpiryCounts(claims=1)
    assert shelf.all_keys() == {young}
    assert expire(shelf.store, RetentionSettings(idempotency=None), NOW) == ExpiryCounts()
    assert old not in shelf.all_keys()


def test_a_tenant_has_ages_of_its_own(shelf: Shelf) -> None:
    """Longer or shorter than those of all."""
    other = Shelf(shelf.root, "umbrella")
    kept, gone = shelf.job(9, ended=9), other.job(2, ended=2)
    recipes = shelf.result(10), other.result(10)
    retention = RetentionSettings(
        inputs=7,
        results=30,
        tenants={"acme": Ages(inputs=None), "umbrella": Ages(inputs=1, results=5)},
    )
    assert expire(shelf.store, retention, NOW) == ExpiryCounts(inputs=1, results=1)
    assert shelf.of_job(kept) == RECORDS | INPUT_KEYS
    assert other.of_job(gone) == RECORDS
    assert shelf.of_result(recipes[0])
    assert not other.of_result(recipes[1])


def test_what_is_kept_for_ever_is_not_even_listed(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of what is not, only jobs that are old enough; no object is read."""
    for age in (1, 2, 40, 50):
        shelf.job(age, ended=age)
    shelf.result(50)
    store, listed = shelf.store, []
    entries = store.entries

    def watched(prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        for info in entries(prefix, after=after):
            listed.append(info.key)
            yield info

    monkeypatch.setattr(store, "entries", watched)
    monkeypatch.setattr(store, "open", lambda key: pytest.fail(f"{key} was read"))
    nothing = RetentionSettings(inputs=None, idempotency=None)
    assert expire(store, nothing, NOW) == ExpiryCounts()
    assert listed == []
    assert expire(store, RetentionSettings(), NOW) == ExpiryCounts(inputs=2)
    assert len(listed) == 2 * (len(INPUTS) + 2)


def test_one_key_that_stays_holds_up_no_other(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged by name, and its job goes whole the next time."""
    stuck, other = shelf.job(400, ended=399), shelf.job(500, ended=499)
    store = StubbornStore(shelf.root, f"{stuck}/input/{INPUTS[0]}")
    assert expire(store, WEEK_MONTH_YEAR, NOW) == ExpiryCounts(jobs=1, failed=1)
    assert shelf.of_job(stuck) == RECORDS | {f"input/{INPUTS[0]}"}
    assert shelf.of_job(other) == set()
    assert f"{stuck}/input/{INPUTS[0]} is left to the next time" in caplog.text
    assert expire(shelf.store, WEEK_MONTH_YEAR, NOW) == ExpiryCounts(jobs=1)


def test_a_request_that_stays_keeps_its_result(shelf: Shelf) -> None:
    """Or the job would be there without an end."""
    stuck = shelf.job(400, ended=399)
    store = StubbornStore(shelf.root, "request.json")
    assert expire(store, WEEK_MONTH_YEAR, NOW) == ExpiryCounts(failed=1)
    assert shelf.of_job(stuck) == RECORDS


def test_one_tenant_that_cannot_be_listed_holds_up_no_other(shelf: Shelf, tmp_path: Path) -> None:
    """A link in its folder, say, which is followed nowhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    other = Shelf(shelf.root, "umbrella")
    gone = other.job(9, ended=9)
    (shelf.root / "tenants/acme").mkdir()
    (shelf.root / "tenants/acme/jobs").symlink_to(outside)
    assert expire(shelf.store, WEEK_MONTH_YEAR, NOW) == ExpiryCounts(inputs=1, failed=1)
    assert other.of_job(gone) == RECORDS
    assert (outside / "precious").exists()


def test_a_store_that_cannot_be_listed_is_an_error(shelf: Shelf, tmp_path: Path) -> None:
    """The courier waits for the next time."""
    shelf.root.mkdir()
    (shelf.root / "tenants").symlink_to(tmp_path)
    with pytest.raises(StoreError):
        expire(shelf.store, WEEK_MONTH_YEAR, NOW)


def test_what_was_deleted_is_logged_by_tenant(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    """How many of each kind; nothing of a tenant that lost nothing."""
    shelf.job(9, ended=9)
    shelf.job(400, ended=399)
    Shelf(shelf.root, "umbrella").job(1, ended=1)
    with caplog.at_level(logging.INFO, logger="worker.expiry"):
        expire(shelf.store, WEEK_MONTH_YEAR, NOW)
    assert "expiry, tenant acme: 1 inputs, 1 jobs" in caplog.text
    assert "umbrella" not in caplog.text


def test_it_stops_when_told(shelf: Shelf) -> None:
    """Before the next delete, and lists no more; the time after that goes on."""
    jobs = [shelf.job(400, ended=399) for _ in range(3)]
    assert expire(shelf.store, WEEK_MONTH_YEAR, NOW, stop=lambda: True) == ExpiryCounts()
    assert len(shelf.all_keys()) == 12
    first = expire(shelf.store, WEEK_MONTH_YEAR, NOW, stop=lambda: len(shelf.all_keys()) < 7)
    assert first == ExpiryCounts(jobs=1)
    assert len(shelf.all_keys()) == 6
    assert expire(shelf.store, WEEK_MONTH_YEAR, NOW) == ExpiryCounts(jobs=2)
    assert not any(shelf.of_job(job_id) for job_id in jobs)


def test_nothing_of_others_is_touched(shelf: Shelf) -> None:
    """Alignments, what is not the gate's, and folders whose names are no ids."""
    strangers = {
        shelf.put(key, 9000)
        for key in (
            "alignments/names/tiny.json",
            "alignments/0123/module.safetensors",
            "backup/tenants/acme/results/0/commit.json",
            "tenants/README.md",
            "tenants/acme/README.md",
            "tenants/acme/results/README.md",
            "tenants/acme/jobs/README.md",
            "tenants/acme/jobs/notes/result.json",
            f"tenants/acme/jobs/{'z' * 26}/result.json",
            "tenants/acme/webhooks/1.json",
        )
    }
    assert expire(shelf.store, WEEK_MONTH_YEAR, NOW) == ExpiryCounts()
    assert shelf.all_keys() == strangers


def test_the_life_of_a_job(store: ObjectStore) -> None:
    """On either kind of store, day by day: inputs, result, the job itself."""
    job_id, recipe = id_made(datetime.now(UTC)), "0" * 40
    for key in (
        layout.pending("acme", job_id),
        layout.job_input("acme", job_id, INPUTS[0]),
        layout.job_request("acme", job_id),
        layout.output("acme", recipe, "out", OUTPUTS[0]),
        layout.commit("acme", recipe),
        layout.job_result("acme", job_id),
    ):
        store.put(key, b"x")
    Records(store).forget_pending("acme", job_id)
    seen = []
    for day in (6.9, 7.1, 29.9, 30.1, 364.9, 365.1):
        expire(store, WEEK_MONTH_YEAR, datetime.now(UTC) + timedelta(days=day))
        seen.append(len(list(store.list(""))))
    assert seen == [5, 4, 4, 2, 2, 0]
