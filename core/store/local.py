"""Objects as plain files under one folder: for one machine, development and tests."""

import errno
import logging
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from core.errors import StoreError
from core.store.base import (
    ObjectChanged,
    ObjectExists,
    ObjectInfo,
    ObjectMissing,
    ObjectWriter,
    Unfinished,
)
from core.store.checks import TEMPORARY, BadKey, check_key, check_listing, check_range, is_segment
from core.store.files import CHUNK, save_hashed, sync_folder, unreadable
from core.store.together import Together

_log = logging.getLogger(__name__)
_STALE = timedelta(hours=24)
_PUBLISH_ATTEMPTS = 100
_ADVICE = {
    errno.ENOSPC: "Free some space on the store's disk.",
    errno.EDQUOT: "Free some space, or raise the quota of the service's user.",
    errno.EROFS: "The store's disk is mounted read-only: mount it for writing.",
    errno.EACCES: "Let the service's user read and write everything under store.path.",
    errno.EPERM: "Let the service's user write under store.path, on a disk with hard links.",
    errno.EEXIST: "Let store.path name a folder: a file is there.",
    errno.ENOTDIR: "Let store.path name a folder: a file is on the way there.",
    errno.EMFILE: "Raise the limit on open files.",
}


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
        with _failures("store", key):
            temporary = self._temporary_folder / uuid4().hex
            try:
                return LocalWriter(key, temporary, target, if_absent)
            except FileNotFoundError:
                self._temporary_folder.mkdir(parents=True, exist_ok=True)
                return LocalWriter(key, temporary, target, if_absent)

    def copy(self, source: str, target: str, *, etag: str | None = None) -> ObjectInfo:
        with self.open(source) as file, _failures("read", source):
            _check_version(source, file, etag)
            return self._store(target, file)

    @property
    def direct(self) -> None:
        return None

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        check_range(start, length)
        with self.open(key) as file, _failures("read", key):
            file.seek(start)
            return file.read(-1 if length is None else length)

    def get_file(self, key: str, path: Path, *, etag: str | None = None) -> str:
        with self.open(key) as file, _failures("read", key):
            _check_version(key, file, etag)
            return save_hashed(file, path)

    def open(self, key: str) -> BinaryIO:
        path = self._path(key)
        with _failures("read", key):
            try:
                return path.open("rb")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                raise ObjectMissing(f"There is no object {key!r}.") from error

    def info(self, key: str) -> ObjectInfo | None:
        path = self._path(key)
        with _failures("look up", key):
            try:
                status = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return _info(key, status) if stat.S_ISREG(status.st_mode) else None

    def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Iterator[str]:
        check_listing(prefix, after)
        folder = prefix[: prefix.rfind("/") + 1]
        return islice(self._walk(folder, prefix, after), limit)

    def entries(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        infos = (self.info(key) for key in self.list(prefix, after=after))
        return (info for info in infos if info is not None)

    def folders(self, prefix: str) -> Iterator[str]:
        check_listing(prefix, "")
        with _failures("list", prefix):
            children = _children(self._path(prefix.removesuffix("/")))
        return (child.removesuffix("/") for child in children if child.endswith("/"))

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _failures("delete", key):
            if path.is_dir():
                return
            with suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
            self._prune(path.parent)

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        check_listing(prefix, "")
        with _failures("list", TEMPORARY):
            for path in self._temporary_folder.glob("*"):
                with suppress(FileNotFoundError):
                    written = _time(path.stat().st_mtime_ns)
                    yield Unfinished(f"{TEMPORARY}/{path.name}", path.name, written)

    def give_up(self, put: Unfinished) -> None:
        check_key(put.id)
        with _failures("clean", put.key):
            (self._temporary_folder / put.id).unlink(missing_ok=True)

    def presigned_url(self, key: str, *, filename: str, seconds: int) -> str | None:  # noqa: ARG002
        check_key(key)
        return None

    def check(self) -> None:
        with _failures("write to", "store.path"), self._temporary() as temporary:
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
        with _failures("list", folder):
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


class LocalWriter(ObjectWriter):
    """Writes a file beside the objects, which gets its name when it is whole."""

    def __init__(self, key: str, temporary: Path, target: Path, if_absent: bool) -> None:
        self._key = key
        self._temporary = temporary
        self._target = target
        self._if_absent = if_absent
        self._file = temporary.open("xb")
        self._is_there = False

    def write(self, data: bytes | memoryview) -> None:
        with _failures("store", self._key):
            self._file.write(data)

    def commit(self) -> ObjectInfo:
        info = self.settle()
        publish_all([self])
        return info

    def settle(self) -> ObjectInfo:
        """All bytes are on the disk, under no name yet. Raises `StoreError`."""
        with _failures("store", self._key), self._file as file:
            file.flush()
            os.fsync(file.fileno())
            # The kernel's own stamp may stand still for milliseconds: too coarse for an ETag.
            os.utime(file.fileno(), ns=(now := time.time_ns(), now))
            return _info(self._key, os.fstat(file.fileno()))

    def publish(self) -> set[Path]:
        """What is settled gets its name; the folders whose new names have yet to be made to last.
        Raises `StoreError`."""
        with _failures("store", self._key):
            changed = _publish(self._temporary, self._target, if_absent=self._if_absent)
            self._is_there = True
            if self._if_absent:  # what is left of it: its first name
                self._temporary.unlink(missing_ok=True)
        return changed

    def sync(self, folders: Iterable[Path]) -> None:
        with _failures("store", self._key):
            for folder in folders:
                with suppress(FileNotFoundError):  # already deleted again
                    sync_folder(folder)

    def abort(self) -> None:
        if self._is_there:
            return
        try:
            self._file.close()
            self._temporary.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("what was written of %s stays behind: %s", self._key, error)


def publish_all(writers: Sequence[LocalWriter]) -> None:
    """Give all that is settled its name, each folder's new names made to last once. Raises
    `StoreError`."""
    changed: set[Path] = set()
    try:
        for writer in writers:
            changed |= writer.publish()
    finally:
        if writers:
            writers[-1].sync(changed)


def _check_version(key: str, file: BinaryIO, etag: str | None) -> None:
    if etag is not None and etag != _etag(os.fstat(file.fileno())):
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


def _publish(temporary: Path, target: Path, *, if_absent: bool) -> set[Path]:
    """Give the finished file its name, in one step; the folders that have a new name in them."""
    changed = {target.parent}
    for attempt in range(1, _PUBLISH_ATTEMPTS + 1):
        try:
            changed |= _make_folder(target.parent)
            if if_absent:
                _link_new(temporary, target)
            else:
                temporary.replace(target)
            break
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
            message = f"{target.name!r} would have to be an object and a folder at once."
            raise BadKey(message) from error
        except FileNotFoundError:
            # A delete next door found the folder still empty and removed it: make it again.
            if attempt == _PUBLISH_ATTEMPTS:
                raise
    return changed


def _link_new(temporary: Path, target: Path) -> None:
    """A link, unlike a rename, fails if the name is taken: of many writers one wins."""
    try:
        target.hardlink_to(temporary)
    except FileExistsError as error:
        if target.is_dir():
            raise
        raise ObjectExists(f"{target.name!r} exists already: another writer was first.") from error


def _make_folder(folder: Path) -> set[Path]:
    """`mkdir -p`; the folders that have a new name in them."""
    if folder.is_dir():
        return set()
    changed = _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    return {*changed, folder.parent}


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, _etag(status), _time(status.st_mtime_ns))


def _time(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)


def _etag(status: os.stat_result) -> str:
    """Every put makes a new file with a stamp of its own; hashing gigabytes would cost too much."""
    return f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"


@contextmanager
def _failures(operation: str, key: str) -> Iterator[None]:
    """Turn what the file system raises into a `StoreError` that says what to do."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "Check the disk under store.path.")
        raise StoreError(f"Could not {operation} {key!r}: {error.strerror}. {advice}") from error
