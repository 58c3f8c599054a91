"""The object store as the rest of the program sees it: a flat space of keys and bytes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from core.errors import StoreError


@dataclass(frozen=True)
class ObjectInfo:
    """One stored object. `size` in bytes; `etag` changes whenever the bytes do.

    `modified`: when it was put, by the store's clock; None where its answer does not say, as after
    a put to S3.
    """

    key: str
    size: int
    etag: str
    modified: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Unfinished:
    """A put that was begun and has not ended: nobody sees it, and it takes up room.

    `id` is the store's own name for it, `begun` by the store's clock.
    """

    key: str
    id: str
    begun: datetime


class ObjectMissing(StoreError):
    """The key holds no object."""

    code = "object_missing"


class ObjectExists(StoreError):
    """A conditional put found the key already taken: another writer was first."""

    code = "object_exists"


class ObjectChanged(StoreError):
    """The object's ETag is no longer the one the reader pinned."""

    code = "object_changed"


class ObjectStore(Protocol):
    """What every store can do. All calls block; the API runs them in a thread pool.

    Keys are relative, `/`-separated, made by `core.store.layout` alone. A put is atomic: a reader
    sees the whole object or none. Every error is a `StoreError`.
    """

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> ObjectInfo:
        """Store small `data`. With `if_absent`, raises `ObjectExists` if the key is taken."""

    def put_file(self, key: str, path: Path) -> ObjectInfo:
        """Store the file at `path`, of any size, without holding it in memory."""

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Bytes `start … start+length` (to the end when None). Raises `ObjectMissing`."""

    def get_file(self, key: str, path: Path, *, etag: str | None = None) -> str:
        """Write the object to `path`; returns its SHA-256 (hex), computed while writing.

        With `etag`, raises `ObjectChanged` if the object is not that version.
        """

    def open(self, key: str) -> BinaryIO:
        """A stream of the object's bytes, to be closed by the caller. Raises `ObjectMissing`."""

    def info(self, key: str) -> ObjectInfo | None:
        """What lies under `key`, or None."""

    def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Iterator[str]:
        """Keys that begin with `prefix`, in ascending order, those after `after` only."""

    def entries(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """What `list` names, each with what the listing tells of it."""

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders right under `prefix` (which ends in a slash), ascending."""

    def delete(self, key: str) -> None:
        """Remove the object; a key that holds none is no error."""

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """The unfinished puts of keys that begin with `prefix`; a local store, which cannot tell
        them apart, names all there are."""

    def give_up(self, put: Unfinished) -> None:
        """Free what an unfinished put takes; one that has ended meanwhile is no error."""

    def presigned_url(self, key: str, *, filename: str, seconds: int) -> str | None:
        """A URL that lets anyone read this object for `seconds`; None where there are no URLs."""

    def check(self) -> None:
        """Raise `StoreError` unless the store answers (readiness probe)."""

    def close(self) -> None:
        """Let go of connections; the store is not used after this."""
