"""How an object becomes a file: written beside the others, on the disk before it has its name."""

import errno
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from core.errors import StoreError
from core.store.base import ObjectExists, ObjectInfo, ObjectWriter
from core.store.checks import BadKey
from core.store.files import sync_folder

_log = logging.getLogger(__name__)
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
        with failures("store", self._key):
            self._file.write(data)

    def commit(self) -> ObjectInfo:
        info = self.settle()
        publish_all([self])
        return info

    def settle(self) -> ObjectInfo:
        """All bytes are on the disk, under no name yet. Raises `StoreError`."""
        with failures("store", self._key), self._file as file:
            file.flush()
            os.fsync(file.fileno())
            # The kernel's own stamp may stand still for milliseconds: too coarse for an ETag.
            os.utime(file.fileno(), ns=(now := time.time_ns(), now))
            return info_of(self._key, os.fstat(file.fileno()))

    def publish(self) -> set[Path]:
        """What is settled gets its name; the folders whose new names have yet to be made to last.
        Raises `StoreError`."""
        with failures("store", self._key):
            changed = _publish(self._temporary, self._target, if_absent=self._if_absent)
            self._is_there = True
            if self._if_absent:  # what is left of it: its first name
                self._temporary.unlink(missing_ok=True)
        return changed

    def sync(self, folders: Iterable[Path]) -> None:
        with failures("store", self._key):
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


def info_of(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, etag_of(status), time_of(status.st_mtime_ns))


def time_of(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)


def etag_of(status: os.stat_result) -> str:
    """Every put makes a new file with a stamp of its own; hashing gigabytes would cost too much."""
    return f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"


@contextmanager
def failures(operation: str, key: str) -> Iterator[None]:
    """Turn what the file system raises into a `StoreError` that says what to do."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "Check the disk under store.path.")
        raise StoreError(f"Could not {operation} {key!r}: {error.strerror}. {advice}") from error
