"""An alignment's manifest as it is read, and the whole of it as it is published."""

from collections.abc import Callable
from pathlib import Path

from core.alignments import MANIFEST_FILE, Manifest, alignment_id
from core.errors import AlignmentError
from core.store import layout
from core.store.base import ObjectStore
from worker.alignment.tiers.files import Files


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
            manifest = Manifest.model_validate_json(file.read())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    own_id = alignment_id(manifest.modules, manifest.rank, manifest.weights)
    return manifest if own_id == manifest.id else None
