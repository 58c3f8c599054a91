"""The object store as the rest of the program sees it: a flat space of keys and bytes."""

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from core.errors import StoreError
from core.store.files import Digest


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


class ObjectWriter(abc.ABC):
    """Takes an object's bytes as they come. Nobody sees any of it before `commit`.

    As a context manager it commits at the end of the block, and aborts if that raises. All of it
    blocks, and none is safe to share between threads at once.
    """

    @abc.abstractmethod
    def write(self, data: bytes | memoryview) -> None:
        """Raises `StoreError`, which may be one of what was written before."""

    @abc.abstractmethod
    def commit(self) -> ObjectInfo:
        """From here on the object is there, whole. Raises `StoreError`; then `abort` is needed."""

    @abc.abstractmethod
    def abort(self) -> None:
        """Nothing of it stays, if that can be had: what cannot be freed is logged, and found among
        the unfinished puts. After a commit it does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.abort()


@dataclass(frozen=True)
class SignedPut:
    """An HTTP PUT that anyone may send: with exactly these headers besides Content-Length."""

    url: str
    headers: Mapping[str, str]


class DirectUploads(Protocol):
    """Objects that others send to the store themselves, by signed URLs. All calls but `put` and
    `part_url`, which only sign, reach the store and raise `StoreError`."""

    def put(self, key: str, *, size: int, sha256: str | None, seconds: int) -> SignedPut:
        """Stores an object of exactly `size` bytes, and of this SHA-256 (hex) if it is given."""

    def begin(self, key: str) -> str:
        """The id of a multipart upload: the object is there once that is completed."""

    def part_url(self, key: str, upload_id: str, number: int, *, size: int, seconds: int) -> str:
        """Where a part is put; they are joined by number, from 1 on."""

    def parts(self, key: str, upload_id: str) -> Mapping[int, int] | None:
        """The sizes of the parts that are there by number; None once there is no such upload."""

    def complete(self, key: str, upload_id: str) -> None:
        """Join all parts that are there; no such upload is no error."""


class ObjectStore(Protocol):
    """What every store can do. All calls block; the API runs them in a thread pool.

    Keys are relative, `/`-separated, made by `core.store.layout` alone. A put is atomic: a reader
    sees the whole object or none. Every error is a `StoreError`.
    """

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> ObjectInfo:
        """Store small `data`. With `if_absent`, raises `ObjectExists` if the key is taken."""

    def put_file(self, key: str, path: Path) -> ObjectInfo:
        """Store the file at `path`, of any size, without holding it in memory."""

    def put_all(self, objects: Mapping[str, bytes | Path]) -> None:
        """Store small data, or the file at a path, under each key: several at once, in no order.

        Raises as `put` and `put_file` do; then some of them may be there.
        """

    def commit_all(self, writers: Sequence[ObjectWriter]) -> None:
        """Commit writers of this store together, in no order, which takes less than one by one.

        Raises as `commit` does; then some may be committed, and the others are to be aborted.
        """

    def writer(self, key: str, *, if_absent: bool = False) -> ObjectWriter:
        """Stores what is written to it, of any size; whoever asks for one commits or aborts it.

        With `if_absent`, committing raises `ObjectExists` if the key is taken.
        """

    def copy(self, source: str, target: str, *, etag: str | None = None) -> ObjectInfo:
        """Store the object `source` as `target` too, within the store.

        Raises `ObjectMissing`, or with `etag` `ObjectChanged` if it is not that version.
        """

    @property
    def direct(self) -> DirectUploads | None:
        """How others send objects here by themselves; None where they cannot."""

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Bytes `start … start+length` (to the end when None). Raises `ObjectMissing`."""

    def get_file(
        self, key: str, path: Path, *, etag: str | None = None, digest: Digest | None = None
    ) -> str:
        """Write the object to `path`; returns its SHA-256 (hex), computed while writing, or what
        `digest` makes of it.

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
