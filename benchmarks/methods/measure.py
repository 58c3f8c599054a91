"""What a method leaves of an update, how long a module takes, and what 16 bits would cost."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from benchmarks.methods.made import STORED, Adapted
from benchmarks.methods.policies import ALL_OF_V, Compared, compared
from benchmarks.suspicion.pairs import AlignedPair
from core.policy import Policy
from tests.worker.making import GOLDEN
from worker.alignment.loaded import LoadedSpectrum, without_v
from worker.alignment.make import LoadedModule
from worker.alignment.pair import Pair
from worker.judge import Judged, project_module, score_module
from worker.projection.update import difference_norm

ROUNDS = 12
TIMED = ("random", 16)  # the kind and rank of the adapter that is timed


@dataclass(frozen=True)
class OnGolden:
    """`retained` of the whole adapter, and of the modules that keep least and most."""

    method: Compared
    whole: float
    least: float
    most: float


@dataclass(frozen=True)
class OnShape:
    """`retained` by adapter, in their order."""

    method: Compared
    retained: tuple[float, ...]


@dataclass(frozen=True)
class Timed:
    """Seconds to score and project one module: with V, and without (None where V is needed)."""

    method: Compared
    with_v: float
    without_v: float | None


@dataclass(frozen=True)
class Rounded:
    """What `complement` leaves of an update, and how far off its product is, both over ‖B·A‖, with
    U and Z in `dtype`."""

    kind: str
    dtype: torch.dtype
    left: float
    off: float


def on_golden() -> Iterator[OnGolden]:
    """The golden pair and adapter of the tests."""
    with Pair(GOLDEN / "base", GOLDEN / "aligned") as checkpoints:
        pair = AlignedPair(checkpoints)
        modules = pair.adapter(GOLDEN / "adapter")
        for method in compared():
            judged = [
                _judged(Adapted("golden", m.rank, m), pair.module(m.alignment_name), method.policy)
                for m in modules
            ]
            retained = [j.retained or 0.0 for j in judged]
            before = sum((j.module.scaling * j.norm) ** 2 for j in judged)
            after = sum((j.module.scaling * j.projected_norm) ** 2 for j in judged)
            yield OnGolden(method, (after / before) ** 0.5, min(retained), max(retained))


def on_shape(loaded: LoadedModule, adapters: Sequence[Adapted]) -> Iterator[OnShape]:
    for method in _served():
        retained = [_judged(a, loaded, method.policy).retained or 0.0 for a in adapters]
        yield OnShape(method, tuple(retained))


def timed(loaded: LoadedModule, adapters: Sequence[Adapted]) -> list[Timed]:
    """Best of several rounds, in turn; k makes next to no difference, so one of each k."""
    (adapted,) = [a for a in adapters if (a.kind, a.rank) == TIMED]
    methods = [m for m in _served() if m.policy.rank in (None, STORED)]
    lean = without_v(loaded)
    whole, short = (dict.fromkeys((m.label for m in methods), math.inf) for _ in range(2))
    for _ in range(ROUNDS):
        for m in methods:
            whole[m.label] = min(whole[m.label], _seconds(adapted, loaded, m.policy))
            if m.without_v is not None:
                short[m.label] = min(short[m.label], _seconds(adapted, lean, m.without_v))
    return [
        Timed(m, whole[m.label], None if m.without_v is None else short[m.label]) for m in methods
    ]


def rounded(loaded: LoadedModule, adapters: Sequence[Adapted]) -> Iterator[Rounded]:
    """`complement`, input, with Z rounded, against the same with Z in float32."""
    lean = without_v(loaded)
    fields = {"method": "complement", "side": "input", "rank": STORED, "scores": "spectrum"}
    policy = Policy.model_validate({**fields, "selection": {"mode": "all"}})
    for adapted in adapters:
        exact = _judged(adapted, lean, policy)
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            made = _judged(adapted, _rounded(lean, dtype), policy)
            off = difference_norm(made.projected, exact.projected) / exact.norm
            yield Rounded(adapted.kind, dtype, made.projected_norm / made.norm, off)


def _served() -> list[Compared]:
    """All but what needs more directions than are stored."""
    return [method for method in compared() if method.label != ALL_OF_V]


def _rounded(lean: LoadedSpectrum, dtype: torch.dtype) -> LoadedSpectrum:
    u, z = (t.to(dtype).float() for t in (lean.tensors.u, lean.tensors.z))
    return replace(lean, tensors=replace(lean.tensors, u=u, z=z))


def _judged(adapted: Adapted, loaded: LoadedModule | LoadedSpectrum, policy: Policy) -> Judged:
    return project_module(score_module(adapted.module, loaded, policy), loaded, policy)


def _seconds(adapted: Adapted, loaded: LoadedModule | LoadedSpectrum, policy: Policy) -> float:
    start = time.perf_counter()
    _judged(adapted, loaded, policy)
    return time.perf_counter() - start
