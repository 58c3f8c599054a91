"""From one module's difference to what an alignment holds of it."""

import hashlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from core.alignments import Dtype, DtypeRule, ModuleEntry
from worker.alignment.pair import Difference, ModuleShape
from worker.projection.module import ModuleAlignment
from worker.projection.norms import difference_norm, frobenius
from worker.projection.spectrum import (
    Spectrum,
    baseline_cosine,
    rank_for_energy,
    top_singular,
)

NOT_STORED = ""  # the shard of a module that lies in no file yet
STORAGE_LOSS_LIMIT = 2e-3  # ‖V - V16‖_F / ‖V‖_F up to which 16 bits are stored
TORCH_DTYPES: dict[Dtype, torch.dtype] = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}


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
    """V in its storage dtype with norm, spectrum, baseline and digest; all from V as stored."""
    exact_norm = frobenius(difference.v)
    dtype, stored, loss = _stored(difference, recipe.dtype, exact_norm)
    v = difference.v.copy_(stored)  # from here on V is what is stored, in the memory it has
    norm = frobenius(v)
    spectrum = _spectrum(v, recipe)
    baseline, baseline_error = baseline_cosine(v, spectrum)
    entry = ModuleEntry(
        name=name,
        out_features=shape.out_features,
        in_features=shape.in_features,
        dtype=dtype,
        norm=norm,
        aligned_norm=difference.aligned_norm,
        sigma=spectrum.sigma.tolist(),
        baseline=baseline,
        baseline_error=baseline_error,
        spectrum_error=spectrum.error,
        storage_loss=loss,
        sha256=tensor_digest(stored),
        conv1d=shape.conv1d,
        shard=NOT_STORED,
        spectrum_shard=NOT_STORED,
    )
    return LoadedModule(entry, module_tensors(entry, stored, spectrum.u, spectrum.z))


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


def tensor_digest(tensor: Tensor) -> str:
    """SHA-256 of the tensor's bytes, as safetensors stores them (row-major, little-endian)."""
    flat = tensor.contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(flat.numpy().data).hexdigest()


def _stored(difference: Difference, rule: DtypeRule, norm: float) -> tuple[Dtype, Tensor, float]:
    """The first 16-bit dtype that loses little enough, else float32; V in it, and the loss.

    A difference of two 16-bit weights is exact in their own dtype where they lie within a factor of
    two (Sterbenz), so that one is tried first.
    """
    if rule == "float32" or norm == 0.0:
        return "F32", difference.v, 0.0
    for dtype in _candidates(difference.common_dtype):
        stored = difference.v.to(TORCH_DTYPES[dtype])
        loss = difference_norm(stored, difference.v) / norm
        if loss <= STORAGE_LOSS_LIMIT:
            return dtype, stored, loss
    return "F32", difference.v, 0.0


def _candidates(common_dtype: str | None) -> list[Dtype]:
    return ["BF16", "F16"] if common_dtype == "BF16" else ["F16", "BF16"]


def _spectrum(v: Tensor, recipe: Recipe) -> Spectrum:
    if recipe.energy_share is not None:
        return rank_for_energy(v, recipe.energy_share, recipe.rank)
    return top_singular(v, recipe.rank)
