"""A whole pair → an alignment in a folder, one module at a time."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from core.alignments import (
    MANIFEST_FILE,
    DtypeRule,
    Manifest,
    ModuleEntry,
    WeightDigest,
    alignment_id,
)
from core.errors import AlignmentError
from worker.alignment.digests import WeightDigests
from worker.alignment.finished import FinishedModules, rename_synced
from worker.alignment.make import LoadedModule, Recipe, make_module
from worker.alignment.pair import Pair

Step = Callable[[int, int], None]


def build_alignment(
    pair: Pair,
    folder: Path,
    *,
    dtype: DtypeRule,
    rank: int,
    step: Step,
    finished: FinishedModules | None = None,
) -> Manifest:
    """Write every module of `pair` into `folder`, then the manifest; calls `step(done, total)`.

    Memory stays under two modules. With `finished`, which keeps its entries in `folder`, modules
    that an earlier run of this build finished are taken as they are. Raises `AlignmentError` for an
    identical pair, and whatever `step` raises.
    """
    recipe = Recipe(dtype, rank)
    entries: list[ModuleEntry] = []
    for done, (name, shape) in enumerate(pair.shapes.items()):
        step(done, len(pair.shapes))
        entry = finished.find(name, shape) if finished else None
        if entry is None:
            entry = _write(make_module(name, shape, pair.difference(name), recipe), folder)
            if finished:
                finished.add(entry)
        entries.append(entry)
    if all(entry.norm == 0.0 for entry in entries):
        raise AlignmentError(
            "base and aligned model are identical, so there is no alignment to project onto:"
            " check that base is the model before alignment",
            code="pair_identical",
        )
    weights = _read_all(pair.aligned.digests, lambda: step(len(entries), len(entries)))
    manifest = Manifest(
        id=alignment_id(entries, rank, weights),
        model_type=pair.model_type,
        rank=rank,
        modules=entries,
        left_out=pair.left_out,
        weights=weights,
    )
    (folder / MANIFEST_FILE).write_bytes(manifest.as_bytes())
    return manifest


def _read_all(digests: WeightDigests, after_each: Callable[[], None]) -> dict[str, WeightDigest]:
    weights = {}
    for name, weight in digests.items():
        weights[name] = weight
        after_each()
    return weights


def _write(module: LoadedModule, folder: Path) -> ModuleEntry:
    """The module's entry, once its two files lie in `folder` under their own digests."""
    tensors = module.tensors
    shard = _save({"v": tensors.v}, folder)
    spectrum_shard = _save({"u": tensors.u, "z": tensors.z}, folder)
    return module.entry.model_copy(update={"shard": shard, "spectrum_shard": spectrum_shard})


def _save(tensors: dict[str, Tensor], folder: Path) -> str:
    """The name of the file: its SHA-256, so that no two builds ever write one name differently."""
    partial = folder / "partial"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial)
    with partial.open("rb") as file:
        name = f"{hashlib.file_digest(file, 'sha256').hexdigest()}.safetensors"
    rename_synced(partial, folder / name)
    return name
