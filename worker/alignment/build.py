"""A whole pair → an alignment in a folder, one module at a time."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import save_file

from core.alignments import MANIFEST_FILE, DtypeRule, Manifest, ModuleEntry, alignment_id
from core.errors import AlignmentError
from worker.alignment.make import LoadedModule, Recipe, make_module
from worker.alignment.pair import Pair

Step = Callable[[int, int], None]


def build_alignment(
    pair: Pair, folder: Path, *, dtype: DtypeRule, rank: int, step: Step
) -> Manifest:
    """Write every module of `pair` into `folder`, then the manifest; calls `step(done, total)`.

    Memory stays under two modules. Raises `AlignmentError` for an identical pair.
    """
    recipe = Recipe(dtype, rank)
    entries: list[ModuleEntry] = []
    files: dict[str, str] = {}
    for done, (name, shape) in enumerate(pair.shapes.items()):
        step(done, len(pair.shapes))
        module = make_module(name, shape, pair.difference(name), recipe)
        files.update(_write(module, folder))
        entries.append(module.entry)
    if all(entry.norm == 0.0 for entry in entries):
        raise AlignmentError(
            "base and aligned model are identical, so there is no alignment to project onto:"
            " check that base is the model before alignment",
            code="pair_identical",
        )
    manifest = Manifest(
        id=alignment_id(entries, rank),
        model_type=pair.model_type,
        rank=rank,
        modules=entries,
        left_out=pair.left_out,
        files=files,
    )
    (folder / MANIFEST_FILE).write_bytes(manifest.as_bytes())
    step(len(entries), len(entries))
    return manifest


def _write(module: LoadedModule, folder: Path) -> dict[str, str]:
    """The module's two files, by name with their SHA-256."""
    entry, tensors = module.entry, module.tensors
    save_file({"v": tensors.v.contiguous()}, folder / entry.shard)
    save_file(
        {"u": tensors.u.contiguous(), "z": tensors.z.contiguous()}, folder / entry.spectrum_shard
    )
    return {name: _file_digest(folder / name) for name in (entry.shard, entry.spectrum_shard)}


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
