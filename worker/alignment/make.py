"""From one module's difference to what an alignment holds of it."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from core.alignments import DtypeRule, ModuleEntry
from worker.alignment.difference import Difference
from worker.alignment.pair import ModuleShape
from worker.projection.module import ModuleAlignment
from worker.projection.spectrum import (
    Spectrum,
    baseline_cosine,
    rank_for_energy,
    top_singular,
)

NOT_STORED = ""  # the spectrum's shard while it lies in no file yet


@dataclass(frozen=True)
class Recipe:
    """How modules are made: storage dtype, singular directions, a share of energy to reach."""

    dtype: DtypeRule
    rank: int
    energy_share: float | None = None


@dataclass(frozen=True)
class LoadedModule:
    """One module's entry in the manifest and its tensors."""

    entry: ModuleEntry
    tensors: ModuleAlignment


def make_module(
    name: str, shape: ModuleShape, difference: Difference, recipe: Recipe
) -> LoadedModule:
    """V with spectrum and baseline, all of V as it is stored."""
    v = difference.v
    spectrum = _spectrum(v, recipe)
    baseline, baseline_error = baseline_cosine(v, spectrum, difference.norm)
    entry = ModuleEntry(
        name=name,
        out_features=shape.out_features,
        in_features=shape.in_features,
        dtype=difference.dtype,
        norm=difference.norm,
        aligned_norm=difference.aligned_norm,
        sigma=spectrum.sigma.tolist(),
        baseline=baseline,
        baseline_error=baseline_error,
        spectrum_error=spectrum.error,
        storage_loss=difference.loss,
        conv1d=shape.conv1d,
        shard=difference.shard,
        spectrum_shard=NOT_STORED,
    )
    return LoadedModule(entry, module_tensors(entry, v, spectrum.u, spectrum.z))


def module_tensors(entry: ModuleEntry, v: Tensor, u: Tensor, z: Tensor) -> ModuleAlignment:
    return ModuleAlignment(
        v=v,
        norm=entry.norm,
        aligned_norm=entry.aligned_norm,
        baseline=entry.baseline,
        u=u,
        sigma=torch.tensor(entry.sigma, dtype=torch.float64, device=v.device),
        z=z,
    )


def on_device(module: LoadedModule, device: torch.device) -> LoadedModule:
    """The same module with its tensors on `device`."""
    tensors = module.tensors
    moved = replace(
        tensors,
        v=tensors.v.to(device),
        u=tensors.u.to(device),
        sigma=tensors.sigma.to(device),
        z=tensors.z.to(device),
    )
    return LoadedModule(module.entry, moved)


def _spectrum(v: Tensor, recipe: Recipe) -> Spectrum:
    if recipe.energy_share is not None:
        return rank_for_energy(v, recipe.energy_share, recipe.rank)
    return top_singular(v, recipe.rank)
