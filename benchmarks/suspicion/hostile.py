"""Adapters that attack the method, made from V, from random numbers and from trained ones.

Sums of two updates are kept as stacked factors, so a padded adapter has a higher rank.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.suspicion.pairs import AlignedPair
from core.policy import Policy
from worker.adapter.model import LoraModule
from worker.judge import score_module
from worker.projection.update import product_norm

MOST_PADDING = 20.0
Modules = tuple[LoraModule, ...]


def lora(path: str, b: Tensor, a: Tensor) -> LoraModule:
    """B·A as it stands: alpha = r."""
    rank = a.shape[0]
    return LoraModule(path, path, float(rank), 1.0, a.float(), b.float(), 1.0)


def scaled(module: LoraModule, factor: float) -> LoraModule:
    return replace(module, b=module.b.float() * factor)


def added(one: LoraModule, other: LoraModule) -> LoraModule:
    """The sum of two updates of one module."""
    b = torch.cat([one.scaling * one.b.float(), other.scaling * other.b.float()], dim=1)
    return lora(one.path, b, torch.cat([one.a.float(), other.a.float()]))


def resized(module: LoraModule, norm: float) -> LoraModule:
    """The same update with ‖s·B·A‖_F = `norm`."""
    return scaled(module, norm / (module.scaling * product_norm(module.update)))


def weight(module: LoraModule) -> float:
    """‖s·B·A‖_F."""
    return module.scaling * product_norm(module.update)


def random_adapter(
    pair: AlignedPair, names: Sequence[str], rank: int, ratio: float, seed: int
) -> Modules:
    """Gaussian factors, every module at `ratio` of its weight's norm."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for name in names:
        aligned = pair.module(name).tensors
        out, in_ = aligned.v.shape
        b = torch.randn(out, rank, generator=generator)
        a = torch.randn(rank, in_, generator=generator)
        made.append(resized(lora(name, b, a), ratio * aligned.aligned_norm))
    return tuple(made)


def minus_v(pair: AlignedPair, names: Sequence[str], rank: int, strength: float) -> Modules:
    """-strength times the best approximation of V of this rank, for every module."""
    return tuple(_minus_v(pair, name, rank, strength) for name in names)


def _minus_v(pair: AlignedPair, name: str, rank: int, strength: float) -> LoraModule:
    aligned = pair.module(name).tensors
    sigma = aligned.sigma[:rank].float()
    return lora(name, -strength * aligned.u[:, :rank] * sigma, aligned.z[:, :rank].T)


def along(
    pair: AlignedPair, names: Sequence[str], directions: slice, rank: int, ratio: float
) -> Modules:
    """B in the span of some of V's left singular directions, A random."""
    generator = torch.Generator().manual_seed(rank)
    made = []
    for name in names:
        aligned = pair.module(name).tensors
        u = aligned.u[:, directions]  # (out, d)
        b = u @ torch.randn(u.shape[1], rank, generator=generator)
        a = torch.randn(rank, aligned.v.shape[1], generator=generator)
        made.append(resized(lora(name, b, a), ratio * aligned.aligned_norm))
    return tuple(made)


def padded(
    modules: Modules, pair: AlignedPair, directions: slice, factor: float, *, blur: float = 0.0
) -> Modules:
    """Each update with `factor` times its norm added along a rank-1 term of those directions.

    `blur`: the share of the term's energy that is moved to a random direction.
    """
    generator = torch.Generator().manual_seed(7)
    made = []
    for module in modules:
        u = pair.module(module.alignment_name).tensors.u[:, directions]  # (out, d)
        b = (1 - blur) ** 0.5 * u.mean(dim=1, keepdim=True) * u.shape[1] ** 0.5  # (out, 1)
        if blur:
            noise = torch.randn(b.shape, generator=generator)
            b = b + blur**0.5 * noise / noise.norm()
        pad = lora(module.path, b, torch.randn(1, module.a.shape[1], generator=generator))
        made.append(added(module, resized(pad, factor * weight(module))))
    return tuple(made)


def padded_over(modules: Modules, pair: AlignedPair, directions: slice, cut: float) -> Modules:
    """Padded module by module with as little as lifts the cosine over `cut`, in steps of 10 %."""
    made = []
    for module in modules:
        factor = 0.1
        candidate = module
        while _cosine(candidate, pair) <= cut and factor < MOST_PADDING:
            candidate = padded((module,), pair, directions, factor)[0]
            factor *= 1.1
        made.append(candidate)
    return tuple(made)


def _cosine(module: LoraModule, pair: AlignedPair) -> float:
    loaded = pair.module(module.alignment_name)
    return score_module(module, loaded, Policy()).scores.cosine or 0.0


def hidden(modules: Modules, pair: AlignedPair, factor: float) -> Modules:
    """Each update with `factor` times its norm of random noise of rank 8 added."""
    noise = random_adapter(pair, [m.path for m in modules], 8, 1.0, seed=11)
    return tuple(
        added(module, resized(one, factor * weight(module)))
        for module, one in zip(modules, noise, strict=True)
    )


def changed_at(modules: Modules, index: int, change: Callable[[LoraModule], LoraModule]) -> Modules:
    """All as before but one."""
    return tuple(change(m) if i == index else m for i, m in enumerate(modules))


def edited(modules: Modules, pair: AlignedPair, name: str, ratio: float) -> Modules:
    """A rank-1 edit of one module, as knowledge editors make, on top of an adapter."""
    edit = random_adapter(pair, [name], 1, ratio, seed=13)[0]
    if all(module.path != name for module in modules):
        return (*modules, edit)
    return tuple(added(m, edit) if m.path == name else m for m in modules)


def summed(ones: Modules, others: Modules) -> Modules:
    """Module by module; what only one of the two adapts stays as it is."""
    by_path = {module.path: module for module in others}
    both = [added(one, by_path.pop(one.path)) if one.path in by_path else one for one in ones]
    return (*both, *by_path.values())
