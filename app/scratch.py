"""A folder for one request, gone when the request is."""

import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from starlette.concurrency import run_in_threadpool

from core.errors import StoreError
from core.scratch import Scratch

MakeFolder = Callable[[], Path]
"""An empty folder for one request, made when it is first asked for. Blocks; raises `OSError`."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def scratch_folder(scratch: Scratch) -> AsyncIterator[MakeFolder]:
    """One in the process's own; most requests need none.

    Raises `StoreError` (`scratch_unavailable`) for whatever the disk refuses in the meantime.
    """
    made: list[Path] = []

    def make() -> Path:
        if not made:
            made.append(Path(tempfile.mkdtemp(prefix="request-", dir=scratch.folder)))
        return made[0]

    try:
        try:
            yield make
        finally:
            if made:
                with anyio.CancelScope(shield=True):
                    await run_in_threadpool(_remove, made[0])
    except OSError as error:
        raise StoreError(
            f"the scratch folder cannot be used: {error}", code="scratch_unavailable"
        ) from error


def _remove(folder: Path) -> None:
    """A folder that stays behind must not undo an answer."""
    try:
        shutil.rmtree(folder)
    except OSError as error:
        _log.warning("%s stays behind: %s", folder, error)
