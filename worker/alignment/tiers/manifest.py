"""An alignment's manifest as it is read, and the whole of it as it is published."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

from core.alignments import MANIFEST_FILE, Manifest, alignment_id
from core.errors import AlignmentError
from core.store import layout
from core.store.base import ObjectStore
from worker.alignment.tiers.files import Files

KEPT: Final = 4  # manifests, some MB each


def read_manifest(files: Files) -> Manifest:
    """Raises `AlignmentError` if there is no manifest of this version, or it belies its own id, and
    `OSError` for what the disk refuses."""
    manifest = _parsed(files)
    if manifest is None and files.drop(MANIFEST_FILE):
        manifest = _parsed(files)
    if manifest is None:
        raise AlignmentError(
            f"there is no {MANIFEST_FILE} that this version can read: name a folder that it built"
            " an alignment in, or delete its name and register the pair again",
            code="alignment_unreadable",
        )
    return manifest


def publish(
    folder: Path, manifest: Manifest, store: ObjectStore, *, before_each: Callable[[], None]
) -> None:
    """Copy a built alignment into the object store, its manifest last. Raises `StoreError`, or what
    `before_each` raises, which is called before each file.

    One that is there already is mended by this: shards are named by their digests, so a good one is
    written over a damaged one, and whoever reads by an older manifest finds what it names.
    """
    for filename in manifest.files:
        before_each()
        store.put_file(layout.alignment(manifest.id, filename), folder / filename)
    store.put(layout.alignment(manifest.id, MANIFEST_FILE), manifest.as_bytes())


def _parsed(files: Files) -> Manifest | None:
    try:
        with files.open(MANIFEST_FILE).file as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _manifest(data)


@lru_cache(KEPT)
def _manifest(data: bytes) -> Manifest | None:
    """None for what is none. Kept by its bytes, for each job asks for one: to parse and digest that
    of a 7B model takes longer than all else that the service does for a small adapter."""
    try:
        manifest = Manifest.model_validate_json(data)
    except ValueError:
        return None
    own_id = alignment_id(manifest.modules, manifest.rank, manifest.weights)
    return manifest if own_id == manifest.id else None
