"""A folder for one request, gone when the request is."""

import logging
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from starlette.concurrency import run_in_threadpool

from core.errors import StoreError
from core.scratch import Scratch

_log = logging.getLogger(__name__)


@asynccontextmanager
async def scratch_folder(scratch: Scratch) -> AsyncIterator[Path]:
    """An empty folder in the process's own.

    Raises `StoreError` (`scratch_unavailable`) for whatever the disk refuses in the meantime.
    """
    try:
        folder = await run_in_threadpool(_make, scratch)
        try:
            yield folder
        finally:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(_remove, folder)
    except OSError as error:
        raise StoreError(
            f"the scratch folder cannot be used: {error}", code="scratch_unavailable"
        ) from error


def _make(scratch: Scratch) -> Path:
    return Path(tempfile.mkdtemp(prefix="request-", dir=scratch.folder))


def _remove(folder: Path) -> None:
    """A folder that stays behind must not undo an answer."""
    try:
        shutil.rmtree(folder)
    except OSError as error:
        _log.warning("%s stays behind: %s", folder, error)
