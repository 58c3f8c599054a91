"""Bytes on their way to a local file."""

import hashlib
import os
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from core.errors import StoreError

CHUNK = 1 << 20


class Readable(Protocol):
    """The one thing needed of a source: up to `size` bytes, none at the end."""

    def read(self, size: int, /) -> bytes | None: ...


class Digest(Protocol):
    """A hash of what it is given, as hashlib's are."""

    def update(self, data: bytes | memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


def save_hashed(source: Readable, path: Path, digest: Digest | None = None) -> str:
    """Write what is left of `source` to `path`; returns its SHA-256 (hex), or what `digest` makes
    of it.

    `path` appears whole or not at all, and a file that was there before is replaced, never
    written over: someone may have it mapped. Raises `StoreError` if the disk refuses.
    """
    partial = path.with_name(f".{uuid4().hex}.part")
    try:
        found = _copy_hashed(source, partial, digest or hashlib.sha256())
        partial.replace(path)
    except OSError as error:
        raise StoreError(
            f"Could not write {path.name!r}: {error.strerror}. "
            "Check the free space and the permissions of the scratch folder."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return found


def unreadable(path: Path, error: OSError) -> StoreError:
    """The error to raise when the file that is to be stored cannot be read."""
    return StoreError(
        f"Could not read {path.name!r}, the file to store: {error.strerror}. "
        "Check that it still exists and that the service's user may read it."
    )


def _copy_hashed(source: Readable, path: Path, digest: Digest) -> str:
    with path.open("xb") as file:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """Make new names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
