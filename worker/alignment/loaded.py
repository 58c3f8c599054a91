"""A module of an alignment as a job that needs no V has it: its singular directions and norms."""

from dataclasses import dataclass

import torch
from torch import Tensor

from core.alignments import ModuleEntry
from worker.alignment.make import LoadedModule
from worker.projection.module import ModuleSpectrum


@dataclass(frozen=True)
class LoadedSpectrum:
    """One module's entry in the manifest and its tensors, without V."""

    entry: ModuleEntry
    tensors: ModuleSpectrum


def spectrum_of(entry: ModuleEntry, u: Tensor, z: Tensor) -> LoadedSpectrum:
    """U_k (out, k) and Z_k (in, k) with what the manifest has, on the device that U is on."""
    sigma = torch.tensor(entry.sigma, dtype=torch.float64, device=u.device)
    tensors = ModuleSpectrum(
        norm=entry.norm,
        aligned_norm=entry.aligned_norm,
        baseline=entry.baseline,
        u=u,
        sigma=sigma,
        z=z,
    )
    return LoadedSpectrum(entry, tensors)


def without_v(module: LoadedModule) -> LoadedSpectrum:
    """What is left of a module once V is let go."""
    return spectrum_of(module.entry, module.tensors.u, module.tensors.z)
