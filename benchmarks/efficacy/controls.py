"""Changes that no policy of the product can say, made on the same tensors: for comparison only."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import torch
from torch import Tensor

from benchmarks.efficacy.spectra import RULES, ModuleSigma, RuleName, Sigmas
from worker.adapter.model import LoraModule
from worker.alignment.loaded import LoadedSpectrum
from worker.alignment.source import AlignmentSource
from worker.projection.module import ModuleSpectrum
from worker.projection.update import Update, compress

ControlName = Literal[
    "shared input",
    "random directions",
    "random modules",
    "highest cosines",
    "product threshold",
]


READS: Final = {"q_proj": "x", "k_proj": "x", "v_proj": "x", "gate_proj": "y", "up_proj": "y"}


@dataclass(frozen=True)
class Control:
    """A change by its name or its rule's, with its knob. `draw` seeds what is random."""

    name: ControlName | RuleName
    x: float
    draw: int = 0


@dataclass(frozen=True)
class Given:
    """What a control may use: the adapter as uploaded, its cosines, and V's spectra."""

    modules: Sequence[LoraModule]
    cosines: Mapping[str, float]  # by module path
    pair: Mapping[str, LoadedSpectrum]  # by alignment name, every module of the pair

    @property
    def sigmas(self) -> Sigmas:
        return {name: sigma_of(loaded.tensors) for name, loaded in self.pair.items()}

    def spectrum(self, module: LoraModule) -> ModuleSpectrum:
        return self.pair[module.alignment_name].tensors


def spectra(alignment: AlignmentSource) -> dict[str, LoadedSpectrum]:
    """Of every module of the pair."""
    return {name: alignment.spectrum(name) for name in alignment.shapes}


def sigma_of(spectrum: ModuleSpectrum) -> ModuleSigma:
    out, in_ = spectrum.u.shape[0], spectrum.z.shape[0]
    return ModuleSigma(out, in_, spectrum.sigma.double().cpu(), spectrum.z.cpu())


def controlled(given: Given, control: Control) -> list[LoraModule]:
    """The adapter as the control leaves it."""
    if control.name in RULES:
        return _by_rule(given, control)
    return CONTROLS[control.name](given, control)


def _by_rule(given: Given, control: Control) -> list[LoraModule]:
    counts = RULES[control.name](given.sigmas, control.x)  # type: ignore[index]
    return [
        _without(m, given.spectrum(m).z.cpu()[:, : counts[m.alignment_name]]) for m in given.modules
    ]


def _by_shared_input(given: Given, control: Control) -> list[LoraModule]:
    """Directions of an input that several modules read, from all their V together: as many as hold
    the share `x` of the energy, each module's V counting alike."""
    together: dict[str, Tensor] = {}
    for name, spectrum in given.sigmas.items():
        weighted = spectrum.z.double() * (spectrum.sigma / spectrum.energy.sum().sqrt())  # (in, k)
        gram = weighted @ weighted.T  # (in, in)
        together[_input_of(name)] = together.get(_input_of(name), 0.0) + gram
    z = {name: _top(gram, control.x) for name, gram in together.items()}
    return [_without(m, z[_input_of(m.alignment_name)]) for m in given.modules]


def _input_of(name: str) -> str:
    """Which input a module of a block reads: q, k and v read one, gate and up another."""
    block, _, kind = name.rpartition(".")
    return f"{block}.{READS.get(kind, kind)}"


def _top(gram: Tensor, share: float) -> Tensor:
    """The fewest eigenvectors (in, k) that hold this share of the trace."""
    values, vectors = torch.linalg.eigh(gram)  # rising
    held = values.flip(0).cumsum(0)
    count = int((held < share * held[-1] * (1.0 - 1e-9)).sum()) + 1
    top: Tensor = vectors.flip(1)[:, :count].float()
    return top


def _random_directions(given: Given, control: Control) -> list[LoraModule]:
    """As many directions of the input as `x` says, that have nothing to do with V."""
    random = torch.Generator().manual_seed(control.draw)
    made = []
    for module in given.modules:
        drawn = torch.randn(module.a.shape[1], int(control.x), generator=random)
        made.append(_without(module, torch.linalg.qr(drawn).Q))
    return made


def _random_modules(given: Given, control: Control) -> list[LoraModule]:
    random = torch.Generator().manual_seed(control.draw)
    order = torch.randperm(len(given.modules), generator=random).tolist()
    return _zeroed(given.modules, [given.modules[i].path for i in order], control.x)


def _highest_cosines(given: Given, control: Control) -> list[LoraModule]:
    ranked = sorted(given.cosines, key=lambda path: (-given.cosines[path], path))
    return _zeroed(given.modules, ranked, control.x)


def _product_threshold(given: Given, control: Control) -> list[LoraModule]:
    """Takes out u_i·u_iᵀ·ΔW·z_j·z_jᵀ wherever σ_i·σ_j ≥ x·σ_1², and cuts back to rank r."""
    return [_below_product(m, given.spectrum(m), control.x) for m in given.modules]


def _below_product(module: LoraModule, spectrum: ModuleSpectrum, x: float) -> LoraModule:
    u, z, sigma = spectrum.u.cpu(), spectrum.z.cpu(), spectrum.sigma.cpu()
    inner = (u.T @ module.b.float()) @ (module.a.float() @ z)  # (k, k)
    heavy = sigma[:, None] * sigma[None, :] >= x * float(sigma[0]) ** 2
    update = Update(
        torch.cat([module.b.float(), -u @ (inner * heavy)], dim=1),  # (out, r + k)
        torch.cat([module.a.float(), z.T]),
    )
    cut = compress(update, module.rank)
    return replace(module, b=cut.b.float(), a=cut.a.float())


def _without(module: LoraModule, z: Tensor) -> LoraModule:
    """A := A - A·Z·Zᵀ for orthonormal Z (in, k)."""
    a = module.a.float()
    return replace(module, a=a - (a @ z) @ z.T)


def _zeroed(modules: Sequence[LoraModule], ranked: Sequence[str], x: float) -> list[LoraModule]:
    """The first share `x` of the modules in `ranked` without their update."""
    chosen = set(ranked[: math.ceil(x * len(modules))])
    return [replace(m, b=torch.zeros_like(m.b)) if m.path in chosen else m for m in modules]


CONTROLS: Final[Mapping[str, Callable[[Given, Control], list[LoraModule]]]] = {
    "random directions": _random_directions,
    "random modules": _random_modules,
    "highest cosines": _highest_cosines,
    "product threshold": _product_threshold,
    "shared input": _by_shared_input,
}
