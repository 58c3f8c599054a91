"""An archive of any format, unpacked into a folder."""

from pathlib import Path

from core.archives import unpack
from core.errors import Unprocessable
from core.store.layout import INPUT_FILES
from fuzz.guard import Target
from fuzz.targets import Place

MAX_BYTES = 2**20


def make(place: Place) -> Target:
    archive, folder = place.scratch / "archive", place.scratch / "inside"
    folder.mkdir()

    def accepts(data: bytes) -> bool:
        archive.write_bytes(data)
        for left in folder.iterdir():
            left.unlink()
        accepted = _accepts(archive, folder)
        written = {path.name for path in place.scratch.iterdir()} - {"archive", "inside"}
        written |= {path.name for path in folder.iterdir()} - set(INPUT_FILES)
        if written:
            raise AssertionError(f"written beside the adapter's files: {written}")
        return accepted

    return accepts


def _accepts(archive: Path, folder: Path) -> bool:
    try:
        unpack(archive, folder, max_bytes=MAX_BYTES)
    except Unprocessable:
        return False
    return True
