"""Rules that say how many of V's input directions to take out of each module.

The policy's `rank` and `energy_share` are two such rules. None of these knows the adapter;
each has one knob that is meant to serve every shape of adapter and every pair.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class ModuleSigma:
    """All singular values of a V (out, in), falling, and its right singular vectors Z (in, k)."""

    out_features: int
    in_features: int
    sigma: Tensor  # (k,), float64
    z: Tensor  # (in, k)

    @property
    def energy(self) -> Tensor:
        """σ² (k,)."""
        return self.sigma.square()


Sigmas = Mapping[str, ModuleSigma]
Counts = dict[str, int]
RuleName = Literal["relative", "largest", "pooled", "edge"]


class Rule(Protocol):
    """How many directions of each module to take out, for a knob `x`."""

    def __call__(self, pair: Sigmas, x: float) -> Counts: ...


def relative(pair: Sigmas, x: float) -> Counts:
    """σ_i ≥ x·σ_1 of the module."""
    return {name: _at_least(m.sigma, x * float(m.sigma[0])) for name, m in pair.items()}


def largest(pair: Sigmas, x: float) -> Counts:
    """σ_i ≥ x times the largest σ_1 of all modules of the pair."""
    top = max(float(m.sigma[0]) for m in pair.values())
    return {name: _at_least(m.sigma, x * top) for name, m in pair.items()}


def pooled(pair: Sigmas, x: float) -> Counts:
    """The largest σ² of all modules together, until they hold the share `x` of their sum."""
    together = torch.cat([m.energy for m in pair.values()]).sort(descending=True).values
    held = together.cumsum(0)
    needed = int((held < x * held[-1]).sum())
    cut = math.sqrt(float(together[min(needed, len(together) - 1)]))
    return {name: _at_least(m.sigma, cut) for name, m in pair.items()}


def edge(pair: Sigmas, x: float) -> Counts:
    """σ_i ≥ x times the largest singular value that noise of the module's own size would have."""
    return {name: _above_noise(m, x) for name, m in pair.items()}


def _above_noise(module: ModuleSigma, x: float) -> int:
    """Noise is what is left of V without the directions found; (√out + √in)·std is its norm
    (Marchenko and Pastur). Repeated until no more are found."""
    sides = math.sqrt(module.out_features) + math.sqrt(module.in_features)
    elements = module.out_features * module.in_features
    count = 0
    while True:
        std = math.sqrt(float(module.energy[count:].sum()) / elements)
        found = _at_least(module.sigma, x * sides * std)
        if found <= count:
            return count
        count = found


def _at_least(sigma: Tensor, cut: float) -> int:
    return int((sigma >= cut * (1.0 - 1e-9)).sum())


RULES: Final[Mapping[RuleName, Rule]] = {
    "relative": relative,
    "largest": largest,
    "pooled": pooled,
    "edge": edge,
}
