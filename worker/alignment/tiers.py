"""The tiers that keep an alignment's modules near: RAM (or GPU) → local disk → object store.

Bytes are checked against the manifest as they enter RAM; a copy that differs is dropped and
fetched again.
"""

import hashlib
import uuid
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor

from core.alignments import MANIFEST_FILE, Manifest, ModuleEntry, alignment_id
from core.errors import AlignmentError
from core.store import layout
from core.store.base import ObjectMissing, ObjectStore
from worker.alignment.make import LoadedModule, module_tensors, on_device


class Files(Protocol):
    """The files of one alignment on the local disk."""

    def path(self, filename: str) -> Path:
        """Where the file lies, after fetching it if need be."""

    def drop(self, filename: str) -> bool:
        """Forget a bad copy; False if there is nowhere to fetch another from."""


class Folder:
    """An alignment in a folder that the operator named."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, filename: str) -> Path:
        return self.folder / filename

    def drop(self, filename: str) -> bool:
        del filename
        return False


class DiskTier:
    """Copies of an alignment's files, fetched from the object store at first use."""

    def __init__(self, cache: Path, store: ObjectStore, alignment_id: str) -> None:
        self.folder = cache / alignment_id
        self.store = store
        self.alignment_id = alignment_id

    def path(self, filename: str) -> Path:
        target = self.folder / filename
        if not target.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = self.folder / f".{filename}.{uuid.uuid4().hex}"
            try:
                self.store.get_file(layout.alignment(self.alignment_id, filename), partial)
                partial.replace(target)
            except ObjectMissing as error:
                raise AlignmentError(
                    f"alignment {self.alignment_id} is no longer whole in the object store:"
                    " register the pair again under another name",
                    code="alignment_missing",
                ) from error
            finally:
                partial.unlink(missing_ok=True)
        return target

    def drop(self, filename: str) -> bool:
        (self.folder / filename).unlink(missing_ok=True)
        return True


class RamTier:
    """Loaded modules, least recently used first out, up to `capacity` bytes. One thread only."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.used = 0
        self._modules: OrderedDict[str, LoadedModule] = OrderedDict()

    def get(self, key: str) -> LoadedModule | None:
        module = self._modules.get(key)
        if module is not None:
            self._modules.move_to_end(key)
        return module

    def put(self, key: str, module: LoadedModule) -> None:
        size = _bytes(module)
        if size > self.capacity or key in self._modules:
            return
        while self.used + size > self.capacity:
            _, dropped = self._modules.popitem(last=False)
            self.used -= _bytes(dropped)
        self._modules[key] = module
        self.used += size


class ModuleLoader:
    """Loads one alignment's modules: from RAM, else from checked files onto the device."""

    def __init__(
        self, manifest: Manifest, files: Files, ram: RamTier, device: torch.device
    ) -> None:
        self.manifest = manifest
        self.files = files
        self.ram = ram
        self.device = device

    def load(self, entry: ModuleEntry) -> LoadedModule:
        """Raises `AlignmentError` for a damaged copy that cannot be fetched again."""
        key = f"{self.manifest.id}:{entry.name}:{entry.shard}:{entry.spectrum_shard}:{self.device}"
        module = self.ram.get(key)
        if module is None:
            v = self._tensors(entry.shard)["v"]
            spectrum = self._tensors(entry.spectrum_shard)
            module = on_device(
                LoadedModule(entry, module_tensors(entry, v, spectrum["u"], spectrum["z"])),
                self.device,
            )
            self.ram.put(key, module)
        return module

    def _tensors(self, filename: str) -> dict[str, Tensor]:
        data = self._checked(filename)
        if data is None and self.files.drop(filename):
            data = self._checked(filename)
        if data is None:
            self.files.drop(MANIFEST_FILE)  # the pair may be registered again, under new shards
            raise AlignmentError(
                f"a file of alignment {self.manifest.id} does not have the SHA-256 that it is named"
                " by: restore it, or register the pair again under another name",
                code="alignment_damaged",
            )
        return load_safetensors(data)

    def _checked(self, filename: str) -> bytes | None:
        try:
            data = self.files.path(filename).read_bytes()
        except FileNotFoundError:
            return None
        whole = filename == f"{hashlib.sha256(data).hexdigest()}.safetensors"
        return data if whole else None


def read_manifest(files: Files) -> Manifest:
    """Raises `AlignmentError` if there is no manifest of this version, or it belies its own id."""
    manifest = _parsed_manifest(files)
    if manifest is None and files.drop(MANIFEST_FILE):
        manifest = _parsed_manifest(files)
    if manifest is None:
        raise AlignmentError(
            f"there is no {MANIFEST_FILE} that this version can read: name a folder that it built"
            " an alignment in, or register the pair again under another name",
            code="alignment_unreadable",
        )
    return manifest


def _parsed_manifest(files: Files) -> Manifest | None:
    try:
        manifest = Manifest.model_validate_json(files.path(MANIFEST_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    own_id = alignment_id(manifest.modules, manifest.rank, manifest.weights)
    return manifest if own_id == manifest.id else None


def publish(folder: Path, manifest: Manifest, store: ObjectStore) -> None:
    """Copy a built alignment into the object store, its manifest last. Raises `StoreError`.

    One that is there already is mended by this: shards are named by their digests, so a good one is
    written over a damaged one, and whoever reads by an older manifest finds what it names.
    """
    for filename in manifest.files:
        store.put_file(layout.alignment(manifest.id, filename), folder / filename)
    store.put(layout.alignment(manifest.id, MANIFEST_FILE), manifest.as_bytes())


def _bytes(module: LoadedModule) -> int:
    tensors = module.tensors
    return sum(t.numel() * t.element_size() for t in (tensors.v, tensors.u, tensors.z))
