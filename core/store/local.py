"""Objects as plain files under one folder: for one machine, development and tests."""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from core.store.base import (
    ObjectChanged,
    ObjectInfo,
    ObjectMissing,
    ObjectWriter,
    Unfinished,
)
from core.store.checks import TEMPORARY, BadKey, check_key, check_listing, check_range, is_segment
from core.store.files import CHUNK, Digest, save_hashed, unreadable
from core.store.local_writer import LocalWriter, etag_of, failures, info_of, publish_all, time_of
from core.store.together import Together

_STALE = timedelta(hours=24)


class LocalStore:
    """An object a file, its key the path under `root`, so a folder of objects reads as one.

    Several processes may share the folder. Symbolic links in it are never followed. A key cannot
    be an object and a folder at once (`bad_key`), which S3 would allow.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._temporary_folder = self._root / TEMPORARY
        self._together = Together()
        self._sweep()

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> ObjectInfo:
        writer = self.writer(key, if_absent=if_absent)
        try:
            writer.write(data)
            return writer.commit()
        finally:
            writer.abort()

    def put_file(self, key: str, path: Path) -> ObjectInfo:
        try:
            source = path.open("rb")
        except OSError as error:
            raise unreadable(path, error) from error
        with source:
            return self._store(key, source)

    def put_all(self, objects: Mapping[str, bytes | Path]) -> None:
        with ExitStack() as stack:
            writers = []
            for key, content in objects.items():
                writer = self.writer(key)
                stack.callback(writer.abort)
                writers.append(writer)
                if isinstance(content, bytes):
                    writer.write(content)
                    continue
                try:
                    source = stack.enter_context(content.open("rb"))
                except OSError as error:
                    raise unreadable(content, error) from error
                shutil.copyfileobj(source, writer, CHUNK)
            self.commit_all(writers)

    def commit_all(self, writers: Sequence[ObjectWriter]) -> None:
        ours = [writer for writer in writers if isinstance(writer, LocalWriter)]
        self._together.each(LocalWriter.settle, ours)  # of one commit of the journal, most likely
        publish_all(ours)

    def writer(self, key: str, *, if_absent: bool = False) -> ObjectWriter:
        target = self._path(key)
        with failures("store", key):
            temporary = self._temporary_folder / uuid4().hex
            try:
                return LocalWriter(key, temporary, target, if_absent)
            except FileNotFoundError:
                self._temporary_folder.mkdir(parents=True, exist_ok=True)
                return LocalWriter(key, temporary, target, if_absent)

    def copy(self, source: str, target: str, *, etag: str | None = None) -> ObjectInfo:
        with self.open(source) as file, failures("read", source):
            _check_version(source, file, etag)
            return self._store(target, file)

    @property
    def direct(self) -> None:
        return None

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        check_range(start, length)
        with self.open(key) as file, failures("read", key):
            file.seek(start)
            return file.read(-1 if length is None else length)

    def get_file(
        self, key: str, path: Path, *, etag: str | None = None, digest: Digest | None = None
    ) -> str:
        with self.open(key) as file, failures("read", key):
            _check_version(key, file, etag)
            return save_hashed(file, path, digest)

    def open(self, key: str) -> BinaryIO:
        path = self._path(key)
        with failures("read", key):
            try:
                return path.open("rb")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                raise ObjectMissing(f"There is no object {key!r}.") from error

    def info(self, key: str) -> ObjectInfo | None:
        path = self._path(key)
        with failures("look up", key):
            try:
                status = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return info_of(key, status) if stat.S_ISREG(status.st_mode) else None

    def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Iterator[str]:
        check_listing(prefix, after)
        folder = prefix[: prefix.rfind("/") + 1]
        return islice(self._walk(folder, prefix, after), limit)

    def entries(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        infos = (self.info(key) for key in self.list(prefix, after=after))
        return (info for info in infos if info is not None)

    def folders(self, prefix: str) -> Iterator[str]:
        check_listing(prefix, "")
        with failures("list", prefix):
            children = _children(self._path(prefix.removesuffix("/")))
        return (child.removesuffix("/") for child in children if child.endswith("/"))

    def delete(self, key: str) -> None:
        path = self._path(key)
        with failures("delete", key):
            if path.is_dir():
                return
            with suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
            self._prune(path.parent)

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        check_listing(prefix, "")
        with failures("list", TEMPORARY):
            for path in self._temporary_folder.glob("*"):
                with suppress(FileNotFoundError):
                    written = time_of(path.stat().st_mtime_ns)
                    yield Unfinished(f"{TEMPORARY}/{path.name}", path.name, written)

    def give_up(self, put: Unfinished) -> None:
        check_key(put.id)
        with failures("clean", put.key):
            (self._temporary_folder / put.id).unlink(missing_ok=True)

    def presigned_url(self, key: str, *, filename: str, seconds: int) -> str | None:  # noqa: ARG002
        check_key(key)
        return None

    def check(self) -> None:
        with failures("write to", "store.path"), self._temporary() as temporary:
            temporary.touch(exist_ok=False)

    def close(self) -> None:
        """Nothing is held open but a few threads."""
        self._together.close()

    def _path(self, key: str) -> Path:
        """Where `key` lies. Raises `BadKey` if a symbolic link is on the way there."""
        check_key(key)
        place = str(self._root)
        for segment in key.split("/"):
            place = f"{place}/{segment}"
            try:
                status = os.lstat(place)
            except OSError:
                break  # nothing lies there, or behind it
            if stat.S_ISLNK(status.st_mode):
                raise BadKey(f"{key!r} leads through a symbolic link: remove it from the store.")
        return self._root / key

    def _store(self, key: str, source: BinaryIO) -> ObjectInfo:
        writer = self.writer(key)
        try:
            shutil.copyfileobj(source, writer, CHUNK)
            return writer.commit()
        finally:
            writer.abort()

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        """A fresh path on the store's own file system, gone afterwards unless it was moved."""
        self._temporary_folder.mkdir(parents=True, exist_ok=True)
        path = self._temporary_folder / uuid4().hex
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what killed processes left; a file still being written has a fresh mtime."""
        for put in self.unfinished(""):
            if datetime.now(UTC) - put.begun > _STALE:
                self.give_up(put)

    def _walk(self, folder: str, prefix: str, after: str) -> Iterator[str]:
        """Keys under `folder` ("" or ending in a slash), holding one folder's names at a time."""
        path = self._path(folder.removesuffix("/")) if folder else self._root
        with failures("list", folder):
            children = _children(path)
        for child in children:
            key = folder + child
            if key.endswith("/"):
                meets_prefix = key.startswith(prefix) or prefix.startswith(key)
                if meets_prefix and (key > after or after.startswith(key)):
                    yield from self._walk(key, prefix, after)
            elif key.startswith(prefix) and key > after:
                yield key

    def _prune(self, folder: Path) -> None:
        """Remove `folder` and those above it while they are empty."""
        while folder != self._root:
            try:
                folder.rmdir()
            except OSError:  # not empty: someone else's objects
                return
            folder = folder.parent


def _check_version(key: str, file: BinaryIO, etag: str | None) -> None:
    if etag is not None and etag != etag_of(os.fstat(file.fileno())):
        raise ObjectChanged(f"{key!r} was replaced since it was last seen: start again.")


def _children(path: Path) -> list[str]:
    """Names of the files and, with a slash, the folders in `path`, in the order of their keys.

    Only with the slash do folders sort as the keys below them do: `a-b` < `a/b` < `a0`. Python
    compares code points, which is the order of the UTF-8 bytes too.
    """
    try:
        entries = os.scandir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    with entries:
        return sorted(
            f"{entry.name}/" if entry.is_dir() else entry.name
            for entry in entries
            if is_segment(entry.name) and not entry.is_symlink()
        )
