"""A registered name becomes a stored alignment."""

import contextlib
import tempfile
from pathlib import Path

from core.alignments import AlignmentRecord
from core.jobs import now
from core.store.base import ObjectStore
from worker.alignment.build import Step, build_alignment
from worker.alignment.pair import Pair
from worker.alignment.tiers import publish


def register(
    record: AlignmentRecord, store: ObjectStore, cache: Path, *, step: Step
) -> AlignmentRecord:
    """Build the pair that `record` names, store it, and leave a copy in the local cache.

    Returns the record as ready. Raises `AlignmentError`, `StoreError`, or what `step` raises.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=cache, prefix=".building-") as scratch,
        Pair(Path(record.base), Path(record.aligned), modules=record.modules) as pair,
    ):
        folder = Path(scratch) / "alignment"
        folder.mkdir()
        manifest = build_alignment(pair, folder, dtype=record.dtype, rank=record.rank, step=step)
        publish(folder, manifest, store)
        _keep(folder, cache / manifest.id)
    return record.as_ready(manifest, now())


def _keep(folder: Path, target: Path) -> None:
    """Make the build the local copy. What stands there was built from the same V's, or is stale."""
    if target.exists():
        for file in folder.iterdir():
            file.replace(target / file.name)
        return
    with contextlib.suppress(OSError):  # another worker's copy came first: the store has this one
        folder.rename(target)
