"""Where one process keeps files for a while, told from what killed processes left."""

import logging
import os
import shutil
import tempfile
import time
from pathlib import Path
from threading import Lock

from core.locks import is_at, try_lock

_PREFIX = "process-"
_LOCK = ".lock"
_LOCKING_SECONDS = 60.0  # from making a folder to locking it takes milliseconds

_log = logging.getLogger(__name__)


class Scratch:
    """A folder of this process's own under `parent`, made at first use and locked while it lives.

    `sweep` removes the folders whose process is gone, however it ended: the kernel lets go of a
    dead process's lock.
    """

    def __init__(self, parent: Path) -> None:
        self.parent = parent
        self._making = Lock()
        self._folder: Path | None = None
        self._lock = -1

    @property
    def folder(self) -> Path:
        """Safe to ask for from several threads. Raises `OSError`."""
        with self._making:
            if self._folder is None or not self._folder.is_dir():
                self.parent.mkdir(parents=True, exist_ok=True)
                self.sweep()
                self._folder = self._made()
            return self._folder

    def _made(self) -> Path:
        while True:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self.parent))
            # Kept open, and with it the lock, as long as the process lives.
            self._lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if try_lock(self._lock) and is_at(self._lock, folder / _LOCK):
                return folder
            os.close(self._lock)  # a sweeper came between making and locking

    def sweep(self) -> None:
        """Remove what processes that are gone left. Raises `OSError`."""
        for folder in self.parent.glob(f"{_PREFIX}*"):
            try:
                if (folder / _LOCK).exists():
                    _remove_if_dead(folder)
                elif time.time() - folder.stat().st_mtime > _LOCKING_SECONDS:
                    shutil.rmtree(folder)  # of one that died while it removed it, say
            except FileNotFoundError:  # another sweeper, or the owner
                continue
            except OSError as error:  # which is no reason to do without a folder of one's own
                _log.warning("%s is left over and cannot be removed: %s", folder, error)

    def close(self) -> None:
        """Remove the folder, if it was ever made."""
        with self._making:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                os.close(self._lock)
                self._folder = None


def _remove_if_dead(folder: Path) -> None:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    try:
        if try_lock(descriptor):
            _log.info("%s belongs to no living process: removed", folder)
            shutil.rmtree(folder)
    finally:
        os.close(descriptor)
