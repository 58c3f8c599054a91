"""Markdown tables of what was measured."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

import torch

from benchmarks.suspicion.signs import AdapterSigns, ModuleSigns
from benchmarks.suspicion.thresholds import MODULE_SIGNS, module_share, shows
from worker.suspicion import PURITY_FROM_OUT

QUANTILES = (0.0, 0.01, 0.05, 0.5, 0.95, 0.99, 1.0)
METRICS = (
    "cosine", "relative", "signed", "undo", "step", "energy", "update_ratio", "top1", "spread",
    "energy_1", "energy_4", "hit", "purity", "confined", "weight_log2", "cosine_log2",
    "adapter_log2",
)  # fmt: skip

WORST: Mapping[str, Callable[[ModuleSigns], float]] = {
    "-undo": lambda signs: -signs.undo,
    "purity": lambda signs: signs.purity if signs.out_features >= PURITY_FROM_OUT else 0.0,
    "confined": lambda signs: signs.confined,
    "update_ratio": lambda signs: signs.update_ratio,
    "times its family": lambda signs: 2**signs.weight_log2,
    "times its adapter": lambda signs: 2**signs.adapter_log2,
}


@dataclass(frozen=True)
class Measured:
    """One adapter, its signs, and the share of refused questions that the model still refuses."""

    kind: str
    variant: str
    signs: AdapterSigns
    refuses: float | None = None


def print_tables(measured: Sequence[Measured]) -> None:
    """Distributions of every metric by kind, then what the thresholds make of each adapter."""
    kinds = _by_kind(measured)
    for metric in METRICS:
        _print_metric(metric, kinds)
    _print_extremes(kinds)
    _print_whole(measured)
    _print_detection(kinds)
    _print_unseen(measured)


def _by_kind(measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    kinds: dict[str, list[Measured]] = defaultdict(list)
    for one in measured:
        kinds[one.kind].append(one)
    return kinds


def _print_metric(metric: str, kinds: Mapping[str, Sequence[Measured]]) -> None:
    print(f"\n### {metric}\n")
    print("| kind | modules | min | 1 % | 5 % | 50 % | 95 % | 99 % | max |")
    print("|---|---|---|---|---|---|---|---|---|")
    for kind, ones in kinds.items():
        values = _values(ones, lambda signs: float(getattr(signs, metric)))
        quantiles = torch.quantile(values, torch.tensor(QUANTILES, dtype=torch.float64))
        print(f"| {kind} | {len(values)} | {' | '.join(f'{q:.3f}' for q in quantiles)} |")


def _values(ones: Sequence[Measured], of: Callable[[ModuleSigns], float]) -> torch.Tensor:
    return torch.tensor([of(m) for one in ones for m in one.signs.modules], dtype=torch.float64)


def _print_extremes(kinds: Mapping[str, Sequence[Measured]]) -> None:
    print("\n### The most suspicious module of each adapter: from the least to the most, by kind\n")
    print(f"| kind | adapters | undo_all | step_all | {' | '.join(WORST)} |")
    print("|---" * (len(WORST) + 4) + "|")
    for kind, ones in kinds.items():
        cells = [
            _range([one.signs.undo_all for one in ones]),
            _range([one.signs.step_all for one in ones]),
            *(_range([_worst(of, one) for one in ones]) for of in WORST.values()),
        ]
        print(f"| {kind} | {len(ones)} | {' | '.join(cells)} |")


def _worst(of: Callable[[ModuleSigns], float], one: Measured) -> float:
    return max(map(of, one.signs.modules))


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"


def _print_whole(measured: Sequence[Measured]) -> None:
    print("\n### Each adapter as a whole\n")
    print("| kind | adapter | modules | undo_all | step_all | update_ratio | refuses | signs |")
    print("|---|---|---|---|---|---|---|---|")
    for one in measured:
        refuses = "" if one.refuses is None else f"{one.refuses:.0%}"
        largest = max(m.update_ratio for m in one.signs.modules)
        seen = ", ".join(sign for sign in MODULE_SIGNS if shows(one.signs, sign)) or "-"
        print(
            f"| {one.kind} | {one.variant} | {len(one.signs.modules)} | {one.signs.undo_all:.3f}"
            f" | {one.signs.step_all:.4f} | {largest:.3f} | {refuses} | {seen} |"
        )


def _print_detection(kinds: Mapping[str, Sequence[Measured]]) -> None:
    print("\n### Adapters that show a sign, and in brackets the mean share of their modules\n")
    print(f"| kind | adapters | {' | '.join(MODULE_SIGNS)} | any |")
    print("|---" * (len(MODULE_SIGNS) + 3) + "|")
    for kind, ones in kinds.items():
        cells = [
            f"{sum(shows(one.signs, sign) for one in ones)}"
            f" ({mean(module_share(one.signs, sign) for one in ones):.1%})"
            for sign in MODULE_SIGNS
        ]
        seen = sum(_any(one) for one in ones)
        print(f"| {kind} | {len(ones)} | {' | '.join(cells)} | {seen} |")


def _print_unseen(measured: Sequence[Measured]) -> None:
    print("\n### Hostile adapters that show no sign\n")
    for one in measured:
        if not one.kind.startswith("benign") and not _any(one):
            print(f"- {one.kind}: {one.variant}")


def _any(one: Measured) -> bool:
    return any(shows(one.signs, sign) for sign in MODULE_SIGNS)
