"""A store that is watched does what it did, and is counted."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from core.errors import StoreError
from core.observing.process import watched
from core.store.base import ObjectExists, ObjectMissing, ObjectStore
from core.store.local import LocalStore
from tests.metrics import told


def test_a_watched_store_does_what_it_did(store: ObjectStore) -> None:
    """And each call is timed by its name."""
    registry = CollectorRegistry()
    seen = watched(store, registry)
    seen.put("a/b", b"x")
    assert seen.get("a/b") == b"x"
    assert list(seen.list("a/")) == ["a/b"]
    assert (seen.direct is None) == (store.direct is None)
    found = told(registry)
    for operation in ("put", "get"):
        name = "safelora_store_call_duration_seconds_count"
        assert found(name, operation=operation) == 1


def test_nothing_that_reaches_the_store_is_passed_by() -> None:
    """A call that is new to the protocol is watched too, or named here."""
    unwatched = {"writer", "direct", "presigned_url", "close"}  # sign, or hand on what is committed
    declared = {name for name in vars(ObjectStore) if not name.startswith("_")}
    assert declared - unwatched <= set(vars(type(watched(LocalStore(Path()), CollectorRegistry()))))


def test_answers_are_no_failures(local_store: LocalStore) -> None:
    """That nothing is there, or something is, is what was asked."""
    registry = CollectorRegistry()
    seen = watched(local_store, registry)
    with pytest.raises(ObjectMissing):
        seen.get("nothing")
    seen.put("a", b"x")
    with pytest.raises(ObjectExists):
        seen.put("a", b"y", if_absent=True)
    found = told(registry)
    assert found("safelora_store_errors_total", operation="get") == 0
    assert found("safelora_store_errors_total", operation="put") == 0


class HalfListed(LocalStore):
    """Away once one key was listed."""

    def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Iterator[str]:
        yield next(super().list(prefix, after=after, limit=limit))
        raise StoreError("away")


def test_failures_are_counted(tmp_path: Path) -> None:
    """Of a call, and of a listing as it is read."""
    registry = CollectorRegistry()
    seen = watched(HalfListed(tmp_path / "store"), registry)
    seen.put("a", b"x")
    with pytest.raises(StoreError):
        seen.put("a/b", b"x")
    with pytest.raises(StoreError):
        list(seen.list("a"))
    found = told(registry)
    assert found("safelora_store_errors_total", operation="put") == 1
    assert found("safelora_store_errors_total", operation="list") == 1
