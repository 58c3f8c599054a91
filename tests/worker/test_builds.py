"""Builds of alignments by the worker: how each of them ends, and what stands of it then."""

import re
from pathlib import Path
from typing import Any

import pytest

from core.errors import StoreError
from core.store.base import ObjectStore
from tests.worker.built import Built
from tests.worker.making import GOLDEN
from tests.worker.service import Service
from worker.alignment import build, wanted
from worker.alignment.make import LoadedModule, make_module
from worker.alignment.parallel import usual_workers
from worker.courier import reconcile
from worker.interrupts import Cancelled, Drained

MODULES = 78  # of the golden pair


def test_what_tests_begin_with_is_what_a_build_leaves(
    service: Service, golden_build: Built
) -> None:
    """The same in the store and in the worker's own folder, but for the times."""
    service.register()
    stored = {key: service.store.get(key) for key in service.store.list("")}
    assert timeless(stored) == timeless(golden_build.objects)
    own, left = service.tasks.workshop.settings.alignments.cache, golden_build.cache
    assert contents(own) == contents(left)


def timeless(objects: dict[str, bytes]) -> dict[str, bytes]:
    """Without the times in records, nor what names them in keys."""
    return {
        re.sub(r"/[0-9a-f]{64}\.json$", "", key): re.sub(rb"20\d\d-[-0-9T:.]+Z", b"", data)
        for key, data in objects.items()
    }


def contents(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


def test_a_build_that_fails_unforeseen_ends_as_failed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error of a build is tried for ever: the record says failed, and reconcile leaves it."""

    def breaking(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("worker.alignment.build.make_module", breaking)
    built = service.register()
    assert built.error is not None
    assert (built.state, built.error.code) == ("failed", "internal_error")
    assert reconcile(service.records, service.queue) == 0


def test_a_late_failure_does_not_undo_a_finished_build(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build delivered twice stays ready when the second run fails after the first one ended."""
    first = service.register("first")
    ready = service.accept_pair().model_copy(update={"state": "ready", "id": first.id})

    def overtaken(*_: object, **__: object) -> None:
        service.records.finish_build(ready)
        raise RuntimeError("the other run was faster")

    monkeypatch.setattr("worker.alignment.build.make_module", overtaken)
    service.tasks.build_alignment(name="tiny", attempts_left=0)
    assert service.records.alignment("tiny") == ready


@pytest.mark.parametrize("why", ["cancel", "drain"])
def test_a_build_that_is_told_to_stop_keeps_what_it_made(
    service: Service, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """Cancelled or drained at the third module, it begins no other than those that other workers
    are at by then; the next run makes all that are missing, and no more."""
    made: list[str] = []

    def counted(name: str, *rest: Any) -> LoadedModule:
        made.append(name)
        if made.index(name) == 2:
            getattr(service.tasks.interrupts, why).set()
        return make_module(name, *rest)

    monkeypatch.setattr(build, "make_module", counted)
    record = service.accept_pair()
    with pytest.raises((Cancelled, Drained)):
        service.tasks.build_alignment(name=record.name, attempts_left=1)
    assert 3 <= len(made) <= 2 + usual_workers()
    assert service.records.alignment(record.name) == record
    getattr(service.tasks.interrupts, why).clear()
    service.tasks.build_alignment(name=record.name, attempts_left=1)
    ended = service.records.alignment(record.name)
    assert ended is not None
    assert ended.state == "ready"
    assert len(made) == len(set(made)) == MODULES


@pytest.mark.parametrize("fails", [False, True])
def test_a_name_that_was_removed_is_not_brought_back(
    service: Service, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """However a build of it ends that was still running."""
    record = service.accept_pair()

    def overtaken(*arguments: Any) -> LoadedModule:
        service.records.remove_alignment(record.name)
        if fails:
            raise RuntimeError("out of memory")
        return make_module(*arguments)

    monkeypatch.setattr(build, "make_module", overtaken)
    service.tasks.build_alignment(name=record.name, attempts_left=0)
    assert service.records.alignment(record.name) is None


def test_what_is_odd_about_a_pair_is_recorded_and_logged(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """The golden pair is of random weights, and its heads are equal; it is built all the same."""
    service.accept_pair()
    service.tasks.build_alignment(name="tiny", attempts_left=0)
    built = service.records.alignment("tiny")
    assert built is not None
    codes = [warning.code for warning in built.warnings]
    assert (built.state, codes) == ("ready", ["pair_far_apart", "modules_identical"])
    logged = [record for record in caplog.records if record.name == "worker.tasks"]
    for warning in built.warnings:
        assert any(warning.message in r.getMessage() and "tiny" in r.getMessage() for r in logged)


def test_a_removed_build_stops_and_keeps_what_it_made(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the next look, with no word in the store; the same pair again makes the others alone."""
    made: list[str] = []

    def counted(name: str, *rest: Any) -> LoadedModule:
        made.append(name)
        if made.index(name) == 2:
            service.records.remove_alignment("tiny")
        return make_module(name, *rest)

    monkeypatch.setattr(build, "make_module", counted)
    monkeypatch.setattr(wanted, "LOOK_EVERY", 0.0)
    service.accept_pair()
    service.tasks.build_alignment(name="tiny", attempts_left=0)
    assert service.records.alignment("tiny") is None
    stopped = len(made)
    assert stopped < MODULES
    assert service.register().state == "ready"
    assert len(made) == len(set(made)) == MODULES


def test_a_store_that_is_away_stops_no_build(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the name still stands is asked again later."""
    monkeypatch.setattr(wanted, "LOOK_EVERY", 0.0)
    record = service.accept_pair()
    read, asked = type(service.store).get, []

    def failing_thrice(self: ObjectStore, key: str, **rest: Any) -> bytes:
        asked.append(key)
        if len(asked) in (7, 9, 12):  # of a step's looks: at the name, its outcome, its policies
            raise StoreError("the store is away")
        return read(self, key, **rest)

    monkeypatch.setattr(type(service.store), "get", failing_thrice)
    service.tasks.build_alignment(name=record.name, attempts_left=0)
    ended = service.records.alignment(record.name)
    assert ended is not None
    assert ended.state == "ready"


@pytest.mark.parametrize("every", [0.0, 3600.0])
def test_a_build_does_not_answer_for_a_later_registration(
    service: Service, monkeypatch: pytest.MonkeyPatch, every: float
) -> None:
    """The name was removed and given to another pair meanwhile: that one is built next, whether
    the first was stopped or came to its end, though the queue took no task for it."""
    record = service.accept_pair()
    later = record.model_copy(update={"rank": 8, "created_at": "later"})
    ranks: list[int] = []

    def overtaken(name: str, *rest: Any) -> LoadedModule:
        if not ranks:
            service.records.save_alignment(later)
        module = make_module(name, *rest)
        ranks.append(len(module.entry.sigma))
        return module

    monkeypatch.setattr(build, "make_module", overtaken)
    monkeypatch.setattr(wanted, "LOOK_EVERY", every)
    service.tasks.build_alignment(name=record.name, attempts_left=0)
    ended = service.records.alignment(record.name)
    assert ended is not None
    assert (ended.state, ended.rank, ended.created_at) == ("ready", 8, "later")
    assert ranks.count(8) == MODULES
    assert (len(ranks) == 2 * MODULES) == bool(every)


def test_an_identical_pair_is_refused_at_registration(service: Service) -> None:
    """A pair that differs nowhere becomes no alignment, and the record says why."""
    built = service.register("same", aligned=str(GOLDEN / "base"))
    assert built.state == "failed"
    assert built.error is not None
    assert built.error.code == "pair_identical"


def test_a_source_that_stays_away_is_not_taken_for_the_store(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is on call looks at the bucket or the hub, not at the gate's own store."""

    def away(*_: object) -> None:
        raise StoreError("s3://models/base/ could not be read", code="source_unavailable")

    monkeypatch.setattr("worker.workshop.open_files", away)
    built = service.register()
    assert built.error is not None
    assert (built.state, built.error.code) == ("failed", "source_unavailable")
    assert "in S3 or on a hub" in built.error.message


def test_a_pair_that_was_asked_for_wrongly_is_a_line_in_the_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """It is no fault of the gate: no traceback, and no line feed that the caller put there."""
    record = service.accept_pair().model_copy(update={"modules": ["no\nsuch_proj"]})
    service.records.save_alignment(record)
    service.tasks.build_alignment(name=record.name, attempts_left=0)
    built = service.records.alignment(record.name)
    assert built is not None
    assert built.error is not None
    assert built.error.code == "module_not_in_pair"
    (line,) = [r for r in caplog.records if "module_not_in_pair" in r.getMessage()]
    assert (line.levelname, line.exc_info) == ("WARNING", None)
    assert "no\\nsuch_proj" in line.getMessage()
