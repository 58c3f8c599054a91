"""Modules of real shapes with a V of stated spectrum, and adapters of several kinds for them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tests.worker.making import exactly, generator
from worker.adapter.model import LoraModule
from worker.alignment.make import LoadedModule, Recipe, make_module
from worker.alignment.pair import ModuleShape
from worker.projection.module import ModuleAlignment
from worker.projection.update import Update, product_norm

SHAPES = ((4096, 4096), (11008, 4096))
STORED = 64  # singular directions
STRONG, FALL = 256, -0.5  # σ_i = i^FALL for i up to STRONG, the rest is noise
CHANGE, USUAL_RATIO = 0.02, 0.02  # ‖V‖ / ‖W‖ and ‖s·B·A‖ / ‖W‖
RANKS = (8, 16)

Factors = tuple[Tensor, Tensor]
Kind = Callable[[ModuleAlignment, int, torch.Generator], Factors]


@dataclass(frozen=True)
class Adapted:
    """An adapter's kind and rank, and the module as the worker reads it."""

    kind: str
    rank: int
    module: LoraModule


def make(out: int, in_: int) -> LoadedModule:
    """V (out, in) in bfloat16, its spectrum in float32: as a module is stored."""
    random = generator(out)
    v = _strong(out, in_, random)
    noise = torch.randn(out, in_, generator=random)
    v = v / v.norm() + noise / noise.norm()  # half of ‖V‖² each
    aligned_norm = float(v.norm()) / CHANGE
    made = make_module(
        "m",
        ModuleShape(out, in_, False),
        exactly(v, aligned_norm=aligned_norm),
        Recipe("float32", STORED),
    )
    return LoadedModule(made.entry, replace(made.tensors, v=v.bfloat16()))


def adapters(alignment: ModuleAlignment) -> list[Adapted]:
    """Each kind at each rank, all of one size next to W."""
    size = USUAL_RATIO * alignment.aligned_norm
    return [
        Adapted(kind, rank, _module(factors(alignment, rank, generator(rank)), size))
        for kind, factors in KINDS.items()
        for rank in RANKS
    ]


def _strong(out: int, in_: int, random: torch.Generator) -> Tensor:
    sigma = torch.arange(1, STRONG + 1).float() ** FALL
    left: Tensor = torch.linalg.qr(torch.randn(out, STRONG, generator=random)).Q
    right: Tensor = torch.linalg.qr(torch.randn(in_, STRONG, generator=random)).Q
    return (left * sigma) @ right.T


def _random(alignment: ModuleAlignment, rank: int, random: torch.Generator) -> Factors:
    out, in_ = alignment.v.shape
    b = torch.randn(out, rank, generator=random) / out**0.5
    return b, torch.randn(rank, in_, generator=random) / in_**0.5


def _along(alignment: ModuleAlignment, rank: int, random: torch.Generator) -> Factors:
    """The best approximation of V at this rank; against V every method leaves as much."""
    del random
    return alignment.u[:, :rank] * alignment.sigma[:rank].float(), alignment.z[:, :rank].T


def _reading(alignment: ModuleAlignment, rank: int, random: torch.Generator) -> Factors:
    """Reads what V reads most, and writes anywhere."""
    return _random(alignment, rank, random)[0], alignment.z[:, :rank].T


def _mixed(alignment: ModuleAlignment, rank: int, random: torch.Generator) -> Factors:
    """Half of ‖B·A‖² along V, half random, in half of the rank each."""
    along, noise = (of(alignment, rank // 2, random) for of in (_along, _random))
    scale = _norm(along) / _norm(noise)
    return torch.cat([along[0], scale * noise[0]], dim=1), torch.cat([along[1], noise[1]])


KINDS: Mapping[str, Kind] = {
    "random": _random,
    "along V": _along,
    "reads as V": _reading,
    "half along V": _mixed,
}


def _module(factors: Factors, size: float) -> LoraModule:
    root = (size / _norm(factors)) ** 0.5
    b, a = (root * factor for factor in factors)
    return LoraModule("m", "m", alpha=1.0, scaling=1.0, a=a.contiguous(), b=b.contiguous())


def _norm(factors: Factors) -> float:
    return product_norm(Update(*factors))
