"""Where a job's alignment comes from: a pair of checkpoints, or an alignment made earlier."""

from collections.abc import Mapping
from typing import Protocol

import torch

from core.alignments import Manifest, ModuleEntry, WeightDigest, alignment_id
from core.errors import AlignmentError
from core.report import AlignmentFacts
from worker.alignment.loaded import LoadedSpectrum, without_v
from worker.alignment.make import LoadedModule, Recipe, make_module, on_device
from worker.alignment.pair import ModuleShape, Pair
from worker.alignment.tiers import ModuleLoader


class AlignmentSource(Protocol):
    """`shapes`: every module it has; `left_out`: weights that are none, with the reason."""

    @property
    def shapes(self) -> Mapping[str, ModuleShape]: ...

    @property
    def left_out(self) -> Mapping[str, str]: ...

    def module(self, name: str) -> LoadedModule:
        """One module, on the device the job runs on. Raises `AlignmentError`, `StoreError`."""

    def spectrum(self, name: str) -> LoadedSpectrum:
        """The same without V, of which no byte is read where it is stored. Raises as `module`."""

    def weight_kind(self, name: str) -> tuple[str, tuple[int, ...]] | None:
        """Dtype and shape of the aligned checkpoint's tensor of this name, None if it has none.

        `lm_head.weight` is there for a tied head too.
        """

    def weight_sha256(self, name: str) -> str:
        """Of the bytes of a tensor that it has. Raises `AlignmentError`."""

    def facts(self) -> AlignmentFacts:
        """What the report says of it; of a pair, after its modules were read."""

    def keep_warm(self, share: float) -> None:
        """Of the bytes of modules that are kept on the device for later, let all but this share go,
        other alignments' too."""


class StoredAlignment:
    """An alignment made earlier, its modules loaded through the tiers."""

    def __init__(self, manifest: Manifest, loader: ModuleLoader, *, name: str | None) -> None:
        self.manifest = manifest
        self.name = name
        self.left_out: Mapping[str, str] = manifest.left_out
        self.shapes: Mapping[str, ModuleShape] = {
            m.name: ModuleShape(m.out_features, m.in_features, m.conv1d) for m in manifest.modules
        }
        self._entries = {m.name: m for m in manifest.modules}
        self._loader = loader

    def module(self, name: str) -> LoadedModule:
        return self._loader.load(self._entries[name])

    def spectrum(self, name: str) -> LoadedSpectrum:
        return self._loader.load_spectrum(self._entries[name])

    def weight_kind(self, name: str) -> tuple[str, tuple[int, ...]] | None:
        weight = self.manifest.weights.get(name)
        return None if weight is None else (weight.dtype, tuple(weight.shape))

    def weight_sha256(self, name: str) -> str:
        return self.manifest.weights[name].sha256

    def facts(self) -> AlignmentFacts:
        return AlignmentFacts(
            id=self.manifest.id,
            name=self.name,
            rank=self.manifest.rank,
            storage_loss=self.manifest.storage_loss,
        )

    def keep_warm(self, share: float) -> None:
        self._loader.ram.keep(share)


class PairAlignment:
    """Two checkpoints, V made in float32 for the modules asked for, each once."""

    def __init__(self, pair: Pair, recipe: Recipe, device: torch.device) -> None:
        self.pair = pair
        self.recipe = recipe
        self.device = device
        self.shapes: Mapping[str, ModuleShape] = pair.shapes
        self.left_out: Mapping[str, str] = pair.left_out
        self._entries: dict[str, ModuleEntry] = {}
        self._weights: dict[str, WeightDigest] = {}

    def module(self, name: str) -> LoadedModule:
        difference = self.pair.difference(name, self.recipe.dtype)
        made = make_module(name, self.shapes[name], difference, self.recipe)
        self._entries[name] = made.entry
        weight = f"{name}.weight"
        self._weights[weight] = self.pair.aligned.digests[weight]
        if made.entry.norm == 0.0:
            self._refuse_identical_pair()
        return on_device(made, self.device)

    def spectrum(self, name: str) -> LoadedSpectrum:
        return without_v(self.module(name))

    def weight_kind(self, name: str) -> tuple[str, tuple[int, ...]] | None:
        return self.pair.aligned.digests.kind(name)

    def weight_sha256(self, name: str) -> str:
        """Reads the asked tensor's bytes, at the first call."""
        return self.pair.aligned.digests[name].sha256

    def facts(self) -> AlignmentFacts:
        """The id is that of the modules read: their V and their own aligned weights.

        Other tensors do not enter, so that none is read for the id alone; an alignment stored of
        the same pair has another id, which covers them all.
        """
        entries = list(self._entries.values())
        rank = max((len(entry.sigma) for entry in entries), default=self.recipe.rank)
        return AlignmentFacts(
            id=alignment_id(entries, rank, self._weights), name=None, rank=rank, storage_loss=0.0
        )

    def keep_warm(self, share: float) -> None:
        """Nothing is kept: each module is made when it is asked for."""

    def _refuse_identical_pair(self) -> None:
        """One equal module is a finding on the adapter; all modules equal, a useless pair."""
        if any(entry.norm > 0.0 for entry in self._entries.values()):
            return
        if all(self.pair.difference(name, self.recipe.dtype).norm == 0.0 for name in self.shapes):
            raise AlignmentError(
                "base and aligned model are identical, so there is no alignment to project onto:"
                " check that --base is the model before alignment",
                code="pair_identical",
            )
