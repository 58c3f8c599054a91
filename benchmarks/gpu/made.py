"""Modules made up on the device: how long they take does not hang on what is in them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.gpu.shapes import Shape
from worker.projection.module import ModuleAlignment
from worker.projection.update import Update

DIRECTIONS = 64  # of V, as an alignment stores them unless told otherwise
SPREAD = 1e-3  # of V's entries, about what alignment changes of a weight


@dataclass(frozen=True)
class Module:
    """One module as the engine has it before its thin products."""

    update: Update
    alignment: ModuleAlignment


def make(shape: Shape, rank: int, random: torch.Generator) -> Module:
    """V in bfloat16, the factors with as many digits; U and Z in float32."""
    out, in_ = shape
    v = make_v(shape, random)
    sigma = torch.linspace(2.0, 1.0, DIRECTIONS, dtype=torch.float64, device=random.device)
    alignment = ModuleAlignment(
        norm=SPREAD * math.sqrt(out * in_),
        aligned_norm=0.02 * math.sqrt(out * in_),
        baseline=0.7,
        u=_orthonormal(out, random),
        sigma=SPREAD * (math.sqrt(out) + math.sqrt(in_)) * sigma / 2,
        z=_orthonormal(in_, random),
        v=v,
    )
    return Module(make_update(shape, rank, random), alignment)


def make_v(shape: Shape, random: torch.Generator) -> Tensor:
    """(out, in) in bfloat16, and no more memory on the way than for two of it."""
    v = torch.randn(shape, generator=random, device=random.device, dtype=torch.bfloat16)
    return v.mul_(SPREAD)


def make_update(shape: Shape, rank: int, random: torch.Generator) -> Update:
    out, in_ = shape
    b = torch.randn(out, rank, generator=random, device=random.device)
    a = torch.randn(rank, in_, generator=random, device=random.device)
    b, a = (factor.mul_(0.01).bfloat16().float() for factor in (b, a))
    return Update(b, a)


def _orthonormal(size: int, random: torch.Generator) -> Tensor:
    """(size, k)"""
    matrix = torch.randn(size, DIRECTIONS, generator=random, device=random.device)
    basis: Tensor = torch.linalg.qr(matrix).Q
    return basis
