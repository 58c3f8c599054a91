"""A checkpoint in a folder of this machine."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

from core.canonical import Json
from core.errors import AlignmentError
from worker.alignment.checkpoint_files.base import OF_A_CHECKPOINT
from worker.alignment.page_cache import let_go, read_on


class FolderFiles:
    """Its files as they were when this was made, by size, time and inode."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._found = _found(folder)

    @property
    def place(self) -> str:
        return str(self.folder)

    @property
    def sizes(self) -> Mapping[str, int]:
        return {name: status.st_size for name, status in self._found.items()}

    @property
    def version(self) -> Json:
        files: list[Json] = [
            [name, status.st_size, status.st_mtime_ns, status.st_ino]
            for name, status in self._found.items()
        ]
        return [str(self.folder.resolve()), files]

    def open(self, name: str, start: int = 0, end: int | None = None) -> BinaryIO:
        try:
            return cast("BinaryIO", _Range(self.folder / name, start, end))
        except OSError as error:
            raise AlignmentError(
                f"{self.folder / name} cannot be read: {error.strerror}",
                code="checkpoint_unreadable",
            ) from error

    def check_unchanged(self) -> None:
        """Without inodes, which some network file systems make up anew after a while."""
        if _stamps(_found(self.folder)) != _stamps(self._found):
            raise AlignmentError(
                f"{self.folder} changed while it was read: register the pair again once nothing"
                " writes there",
                code="checkpoint_changed",
            )

    def close(self) -> None:
        """Nothing is kept open between reads."""


class _Range(io.FileIO):
    """Some bytes of a file, fetched ahead and let go once they are read."""

    def __init__(self, path: Path, start: int, end: int | None) -> None:
        super().__init__(path)
        self._bytes = (start, 0 if end is None else end - start)
        self.seek(start)
        read_on(self.fileno(), *self._bytes)

    def close(self) -> None:
        if not self.closed:
            let_go(self.fileno(), *self._bytes)
        super().close()


def _found(folder: Path) -> dict[str, os.stat_result]:
    """Nothing where there is no folder: who opens the checkpoint says what is wrong with it."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        return {
            e.name: e.stat() for e in entries if e.name.endswith(OF_A_CHECKPOINT) and e.is_file()
        }
    except (FileNotFoundError, NotADirectoryError):
        return {}


def _stamps(found: Mapping[str, os.stat_result]) -> dict[str, tuple[int, int]]:
    return {name: (status.st_size, status.st_mtime_ns) for name, status in found.items()}
