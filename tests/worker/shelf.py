"""A folder as object store, filled with things of any age."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex

import pytest

from core.errors import StoreError
from core.jobs import ids_from
from core.store import layout
from core.store.base import ObjectInfo
from core.store.local import LocalStore

NOW = datetime(2026, 11, 20, tzinfo=UTC)
INPUTS = ("adapter_config.json", "adapter_model.safetensors")
OUTPUTS = ("adapter_config.json", "adapter_model.safetensors", "report.html", "report.json")


def id_made(moment: datetime) -> str:
    return ids_from(int(moment.timestamp() * 1000)) + token_hex(8)


@dataclass(frozen=True)
class Shelf:
    """All ages in days before `NOW`."""

    root: Path
    tenant: str = "acme"

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.root)

    def all_keys(self) -> set[str]:
        return set(self.store.list(""))

    def put(self, key: str, age: float) -> str:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        stamp = (NOW - timedelta(days=age)).timestamp()
        os.utime(path, (stamp, stamp))
        return key

    def job(
        self,
        age: float,
        *,
        ended: float | None = None,
        request: bool = True,
        mark: bool | None = None,
    ) -> str:
        """The id of a job of this age, which ended at another, or not; pending unless it ended."""
        job_id = id_made(NOW - timedelta(days=age))
        for name in INPUTS:
            self.put(layout.job_input(self.tenant, job_id, name), age)
        if request:
            self.put(layout.job_request(self.tenant, job_id), age)
        if ended is not None:
            self.put(layout.job_result(self.tenant, job_id), ended)
        if mark or (mark is None and ended is None):
            self.put(layout.pending(self.tenant, job_id), age)
        return job_id

    def of_job(self, job_id: str) -> set[str]:
        """What is left of it: the last parts of the keys, and its mark."""
        folder = f"{layout.job(self.tenant, job_id)}/"
        left = {key.removeprefix(folder) for key in self.all_keys() if key.startswith(folder)}
        marked = layout.pending(self.tenant, job_id) in self.all_keys()
        return left | ({"mark"} if marked else set())

    def result(self, age: float, *, commit: float | None = None) -> str:
        """The recipe of a result whose files are of this age; its commit too unless told."""
        recipe = token_hex(20)
        for name in OUTPUTS:
            self.put(layout.output(self.tenant, recipe, "0" * 40, name), age)
        self.put(layout.commit(self.tenant, recipe), age if commit is None else commit)
        return recipe

    def of_result(self, recipe: str) -> set[str]:
        return {key for key in self.all_keys() if f"/{recipe}/" in key}


class Killed(BaseException):
    """The process ends here."""


class DyingStore(LocalStore):
    """Its process is killed before delete number `last` + 1."""

    def __init__(self, root: Path, last: int) -> None:
        super().__init__(root)
        self.left = last

    def delete(self, key: str) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1
        super().delete(key)


class StubbornStore(LocalStore):
    """Does not delete what has `kept` in its key."""

    def __init__(self, root: Path, kept: str) -> None:
        super().__init__(root)
        self.kept = kept

    def delete(self, key: str) -> None:
        if self.kept in key:
            raise StoreError(f"Could not delete {key!r}: it stays.")
        super().delete(key)


def put_after_listing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, shelf: Shelf, key: str
) -> None:
    """Have somebody put `key` anew between its listing and what comes of that."""
    entries = store.entries

    def listed_before(prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        listed = list(entries(prefix, after=after))
        if key.startswith(prefix):
            shelf.put(key, 0)
        return iter(listed)

    monkeypatch.setattr(store, "entries", listed_before)
