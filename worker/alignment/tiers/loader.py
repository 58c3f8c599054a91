"""Modules through the tiers: from RAM, else from checked files."""

from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor

from core.alignments import MANIFEST_FILE, Manifest, ModuleEntry
from core.errors import AlignmentError
from worker.alignment.loaded import LoadedSpectrum, spectrum_of
from worker.alignment.make import LoadedModule, module_tensors
from worker.alignment.naming import shard_digest
from worker.alignment.tiers.counts import Tier, TierCounts
from worker.alignment.tiers.files import Files
from worker.alignment.tiers.mapped import tensors_in, whole_mapping
from worker.alignment.tiers.ram import RamTier, tensor_bytes


class ModuleLoader:
    """Loads one alignment's modules onto the device, each when it is asked for."""

    def __init__(
        self,
        manifest: Manifest,
        files: Files,
        ram: RamTier,
        device: torch.device,
        counts: TierCounts | None = None,
    ) -> None:
        self.manifest = manifest
        self.files = files
        self.ram = ram
        self.device = device
        self.counts = counts or TierCounts()

    def load(self, entry: ModuleEntry) -> LoadedModule:
        """Raises `AlignmentError` for a damaged copy that cannot be fetched again."""
        served: Counter[Tier] = Counter()
        v = self._tensors(entry.shard, served)["v"]
        spectrum = self._tensors(entry.spectrum_shard, served)
        self.counts.add(served)
        return LoadedModule(entry, module_tensors(entry, v, spectrum["u"], spectrum["z"]))

    def load_spectrum(self, entry: ModuleEntry) -> LoadedSpectrum:
        """The same without V, whose shard is not opened in any tier."""
        served: Counter[Tier] = Counter()
        spectrum = self._tensors(entry.spectrum_shard, served)
        self.counts.add(served)
        return spectrum_of(entry, spectrum["u"], spectrum["z"])

    def _tensors(self, filename: str, served: Counter[Tier]) -> Mapping[str, Tensor]:
        """The shard's tensors on the device; adds their bytes to what its tier has served."""
        key = f"{filename}:{self.device}"
        tensors = self.ram.get(key)
        if tensors is not None:
            served["ram"] += tensor_bytes(tensors)
            return tensors
        read = self._read(filename, served)
        tensors = {name: tensor.to(self.device) for name, tensor in read.items()}
        self.ram.put(key, tensors)
        return tensors

    def _read(self, filename: str, served: Counter[Tier]) -> Mapping[str, Tensor]:
        """Adds the file's bytes to what its tier has served."""
        tensors = self._checked(filename, served)
        if tensors is None and self.files.drop(filename):
            tensors = self._checked(filename, served)
        if tensors is None:
            self.files.drop(filename)
            self.files.drop(MANIFEST_FILE)  # the pair may be registered again, under new shards
            raise AlignmentError(
                f"{filename} of alignment {self.manifest.id} does not have the digest that it is"
                " named by: restore it, or delete the alignment's name and register the pair again",
                code="alignment_damaged",
            )
        return tensors

    def _checked(self, filename: str, served: Counter[Tier]) -> Mapping[str, Tensor] | None:
        try:
            copy = self.files.open(filename)
        except FileNotFoundError:
            return None
        with copy.file as file:
            mapping = whole_mapping(file, shard_digest(filename) or "")
        if mapping is None:
            return None
        served[copy.tier] += len(mapping)
        return tensors_in(mapping)
