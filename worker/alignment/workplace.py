"""The folder that one build has to itself, found again by whoever starts the same build anew."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.alignments import SCHEMA, AlignmentRecord
from core.canonical import Json, digest
from core.locks import is_at, try_lock
from core.report import ENGINE_VERSION
from worker.alignment.pair import Pair

PREFIX = ".building-"
STALE_SECONDS = 7 * 24 * 3600
LOCK_POLL_SECONDS = 0.2


def build_key(record: AlignmentRecord, pair: Pair) -> str:
    """A digest of all that a build makes its files from; the record's name is no part of it.

    Of files that are replaced later another key is made, so their modules never mix with these.
    """
    modules: Json = None if record.modules is None else sorted(set(record.modules))
    versions = [pair.base.files.version, pair.aligned.files.version]
    return digest([SCHEMA, ENGINE_VERSION, record.dtype, record.rank, modules, versions])[:40]


@contextmanager
def workplace(cache: Path, key: str, *, waiting: Callable[[], None]) -> Iterator[Path]:
    """The build's folder under `cache`, this process's alone until the block ends.

    Whoever holds it is waited for; `waiting` is called meanwhile, and may raise to stop. What the
    block leaves in the folder is there for the next one, until `clear`, or a week of rest.
    """
    folder = cache / f"{PREFIX}{key}"
    descriptor = _locked(folder, waiting)
    try:
        _sweep(cache)
        for partial in folder.glob("*.part"):  # what a killed process was writing
            partial.unlink()
        yield folder
    finally:
        os.close(descriptor)


def clear(folder: Path) -> None:
    """Remove a workplace that is held: its modules are published, or of no use."""
    shutil.rmtree(folder, ignore_errors=True)  # what stays is swept, and believed by nobody


def _locked(folder: Path, waiting: Callable[[], None]) -> int:
    """An open descriptor of the folder, which holds its lock; a killed process lets go of it."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # whoever held it has just cleared it
        try:
            while not try_lock(descriptor):
                waiting()
                time.sleep(LOCK_POLL_SECONDS)
            if is_at(descriptor, folder):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # cleared while we waited: what is locked has no name any more


def _sweep(cache: Path) -> None:
    """Remove workplaces that nobody holds and nobody has finished a module in for a week."""
    for folder in cache.glob(f"{PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):  # another worker sweeps too
            if time.time() - folder.stat().st_mtime < STALE_SECONDS:
                continue
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                if try_lock(descriptor):
                    shutil.rmtree(folder)
            finally:
                os.close(descriptor)
