"""A module's two files, each named by its digest, so that no two builds ever write one name
differently."""

from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from torch import Tensor

from core.alignments import ModuleEntry
from worker.alignment.finished import rename_synced
from worker.alignment.make import LoadedModule
from worker.alignment.naming import digest_of, shard_name
from worker.safetensors_file import safetensors_parts


def write_shards(module: LoadedModule, folder: Path) -> ModuleEntry:
    """The module's entry, once its files lie in `folder`; V's name is known since V was made."""
    tensors = module.tensors
    _save({"v": tensors.v}, folder / module.entry.shard)
    spectrum = {"u": tensors.u, "z": tensors.z}
    name = shard_name(digest_of(safetensors_parts(spectrum, {})))
    _save(spectrum, folder / name)
    return module.entry.model_copy(update={"spectrum_shard": name})


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    partial = path.with_name(f"{uuid4().hex}.part")  # modules that are equal share their names
    try:
        with partial.open("wb") as file:
            file.writelines(safetensors_parts(tensors, {}))
        rename_synced(partial, path)
    finally:
        partial.unlink(missing_ok=True)
