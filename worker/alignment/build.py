"""A whole pair → an alignment in a folder, module by module."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from core.alignments import (
    MANIFEST_FILE,
    DtypeRule,
    Manifest,
    ModuleEntry,
    WeightDigest,
    alignment_id,
)
from core.errors import AlignmentError
from worker.alignment.difference import Room
from worker.alignment.finished import Finished, FinishedModules
from worker.alignment.make import Recipe, make_module
from worker.alignment.pair import Pair
from worker.alignment.parallel import in_parallel, usual_workers
from worker.alignment.shards import write_shards

Step = Callable[[int, int], None]


def build_alignment(
    pair: Pair,
    folder: Path,
    *,
    dtype: DtypeRule,
    rank: int,
    step: Step,
    workers: int | None = None,
) -> Manifest:
    """Write every module of `pair` into `folder`, then the manifest; calls `step(done, total)`.

    Works on several modules at once, and holds no more than these in memory, as they are stored.
    Modules that an earlier run of this build finished in this folder are taken as they are. `step`
    is called every second, and what it raises is raised: the pair is closed then. Raises
    `AlignmentError` for an identical pair.
    """
    finished = FinishedModules(folder)
    recipe = Recipe(dtype, rank)
    total = len(pair.shapes)
    entries: dict[str, ModuleEntry] = {}
    for name, shape in pair.shapes.items():
        step(len(entries), total)
        if kept := finished.find(name, shape):
            entries[name] = kept.entry
            pair.aligned.digests.add(f"{name}.weight", kept.weight_sha256)

    def finish(name: str, room: Room) -> ModuleEntry:
        difference = pair.difference(name, dtype, room)
        entry = write_shards(make_module(name, pair.shapes[name], difference, recipe), folder)
        finished.add(Finished(entry=entry, weight_sha256=difference.aligned_sha256))
        return entry

    missing = [name for name in pair.shapes if name not in entries]
    rooms = [Room() for _ in range(workers or usual_workers())]
    made = in_parallel(
        finish,
        missing,
        rooms,
        waiting=lambda: step(len(entries), total),
        abandon=pair.close,
    )
    with closing(made):
        for entry in made:
            entries[entry.name] = entry
            step(len(entries), total)
    ordered = [entries[name] for name in pair.shapes]
    _refuse_identical(ordered)
    weights = _weights(pair, lambda: step(total, total))
    manifest = Manifest(
        id=alignment_id(ordered, rank, weights),
        model_type=pair.model_type,
        rank=rank,
        modules=ordered,
        left_out=pair.left_out,
        weights=weights,
    )
    (folder / MANIFEST_FILE).write_bytes(manifest.as_bytes())
    return manifest


def _refuse_identical(entries: list[ModuleEntry]) -> None:
    if all(entry.norm == 0.0 for entry in entries):
        raise AlignmentError(
            "base and aligned model are identical, so there is no alignment to project onto:"
            " check that base is the model before alignment",
            code="pair_identical",
        )


def _weights(pair: Pair, after_each: Callable[[], None]) -> dict[str, WeightDigest]:
    """Digests of the aligned model's tensors, without those of modules that nobody asked for:
    reading these only to know a copy when it is seen would cost more than all else."""
    digests = pair.aligned.digests
    unread = {f"{module}.weight" for module in pair.not_asked_for} & pair.aligned.tensors.keys()
    weights = {}
    for name in digests:
        if name not in unread:
            weights[name] = digests[name]
            after_each()
    return weights
