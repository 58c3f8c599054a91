"""A registered name becomes a stored alignment."""

import contextlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from core.alignments import MANIFEST_FILE, AlignmentRecord, Manifest
from core.errors import AlignmentError
from core.jobs import now
from core.records import Records, is_settled
from worker.alignment.build import Step, build_alignment
from worker.alignment.checkpoint_files import CheckpointFiles
from worker.alignment.pair import Pair
from worker.alignment.tiers import publish
from worker.alignment.warnings import pair_warnings
from worker.alignment.workplace import build_key, clear, workplace

OF_THE_BYTES = ("checkpoint_", "pair_", "module_")
"""Codes of checkpoints that are of no use: mended ones give another key, so that what was finished
would lie there in vain. After any other error the same build goes on from it."""

FilesAt = Callable[[str], CheckpointFiles]


def register(
    record: AlignmentRecord, records: Records, files_at: FilesAt, cache: Path, *, step: Step
) -> AlignmentRecord | None:
    """Build the pair that `record` names, store it with its record, keep a copy in `cache`.

    `files_at` opens what the record's `base` and `aligned` say.

    Goes on where an earlier run of the same build ended, however that ended; waits while another
    process is at it. Returns the record that stands now: the one that is ready; another if the name
    was registered anew meanwhile; None if it was removed. Raises `AlignmentError`, `StoreError`,
    `OSError`, or what `step` raises.
    """
    with (
        closing(files_at(record.base)) as base,
        closing(files_at(record.aligned)) as aligned,
        Pair(base, aligned, modules=record.modules) as pair,
        workplace(cache, build_key(record, pair), waiting=lambda: step(0, 0)) as folder,
    ):
        standing = records.alignment(record.name)
        if is_settled(standing, record):
            with contextlib.suppress(OSError):  # modules that another name's build left here
                folder.rmdir()
            return standing
        try:
            manifest = build_alignment(
                pair, folder, dtype=record.dtype, rank=record.rank, step=step
            )
            base.check_unchanged()
            aligned.check_unchanged()
        except AlignmentError as error:
            if error.code.startswith(OF_THE_BYTES):
                clear(folder)
            raise
        total = len(manifest.modules)
        publish(folder, manifest, records.store, before_each=lambda: step(total, total))
        ready = record.as_ready(manifest, now(), pair_warnings(pair, manifest))
        _keep(folder, manifest, cache / manifest.id)
        clear(folder)
        return records.finish_build(ready)


def _keep(folder: Path, manifest: Manifest, target: Path) -> None:
    """Make the build the local copy. What stands there was built from the same V's, or is stale."""
    with contextlib.suppress(OSError):  # a copy only: what is not here is fetched from the store
        target.mkdir(exist_ok=True)
        for name in (*manifest.files, MANIFEST_FILE):
            (folder / name).replace(target / name)
