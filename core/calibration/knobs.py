"""What can be turned, method by method; one more is a line in `_KNOBS`, or a small class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, Protocol

from core.calibration.measured import Measured
from core.canonical import Json
from core.policy import Lowest, MethodName, Policy, Relative, Selection, Side, Threshold
from core.report import ModuleRow

KnobName = Literal["threshold", "share", "ratio", "rank"]

MOST_CUTS = 1000  # beyond that they are thinned evenly: a finer choice is none


@dataclass(frozen=True)
class Setting:
    """One position of a knob, the policy that it makes, and which of the knob's probes has the rows
    that tell what this policy does."""

    value: float
    policy: Policy
    probe: int


class Knob(Protocol):
    """All that calibration needs to know of what it turns."""

    @property
    def probes(self) -> Sequence[Policy]:
        """Policies that only score, each of which every adapter must be scored by."""

    def settings(self, adapters: Sequence[Measured]) -> Sequence[Setting]:
        """What could be proposed, from the mildest to the strictest."""


def knob_of(method: MethodName, by: KnobName | None, default: Policy, stored: int) -> Knob:
    """The knob of that name, or the method's first.

    `default` is the alignment's default policy, of which all is kept that the method does not say;
    `stored` how many singular directions the alignment was registered with. Raises `ValueError`.
    """
    name = by or first_knob(method)
    if name is None or name not in _KNOBS.get(method, {}):
        known = "; ".join(f"{other} by {', '.join(knobs)}" for other, knobs in _KNOBS.items())
        raise ValueError(f"{method} is not calibrated by {name or 'anything'}: there is {known}")
    return _KNOBS[method][name](default, stored)


def first_knob(method: MethodName) -> KnobName | None:
    """The knob that is turned where none is named."""
    return next(iter(_KNOBS.get(method, {})), None)


def probe_of(policy: Policy) -> Policy:
    """The policy that only scores, and whose `retained` is what `policy` would leave of a module.

    V is loaded where the method or the selection needs it, and for no scores besides.
    """
    fields = {**_fields(policy), "selection": {"mode": "none"}, "suspicious": "report"}
    if policy.selection.mode == "all" and policy.method != "safe_lora":
        fields |= {"scores": "spectrum", "reference": False}
    return Policy.model_validate(fields)


@dataclass(frozen=True)
class Cut:
    """Which modules Safe LoRA projects. `edges` are the values above which one more is chosen,
    `top` the highest that a policy takes."""

    default: Policy
    selection: Callable[[float], Selection]
    edges: Callable[[Sequence[ModuleRow]], set[float]]
    top: float

    @property
    def probes(self) -> Sequence[Policy]:
        return [probe_of(self._method)]

    def settings(self, adapters: Sequence[Measured]) -> Sequence[Setting]:
        found = {edge for a in adapters for edge in self.edges(a.rows[0])}
        edges = sorted(edge for edge in found if edge < self.top)
        beyond = [min(self.top, edge + 0.01) for edge in edges[-1:]]  # the last one is chosen too
        values = [0.0, *(_between(low, high) for low, high in pairwise([*edges, *beyond]))]
        method = self._method
        return [
            Setting(value, method.model_copy(update={"selection": self.selection(value)}), probe=0)
            for value in _thinned(values)
        ]

    @property
    def _method(self) -> Policy:
        """With nothing chosen."""
        method: dict[str, Json] = {"method": "safe_lora", "scores": "all"}
        return _derived(self.default, method, {"mode": "threshold", "threshold": 0.0})


@dataclass(frozen=True)
class Rank:
    """How many of V's top directions `complement` takes out, of every module."""

    default: Policy
    side: Side
    stored: int

    @property
    def probes(self) -> Sequence[Policy]:
        return [probe_of(setting.policy) for setting in self.settings([])]

    def settings(self, adapters: Sequence[Measured]) -> Sequence[Setting]:  # noqa: ARG002
        powers = [2**n for n in range(self.stored.bit_length()) if 2**n < self.stored]
        ranks = [*powers, self.stored]
        return [Setting(rank, self._policy(rank), probe=i) for i, rank in enumerate(ranks)]

    def _policy(self, rank: int) -> Policy:
        method: dict[str, Json] = {"method": "complement", "side": self.side, "rank": rank}
        return _derived(self.default, method, {"mode": "all"})


def _fields(policy: Policy) -> dict[str, Json]:
    return dict(policy.as_json())


def _derived(default: Policy, method: Mapping[str, Json], selection: Json) -> Policy:
    """`default` with another method and selection: extras, caps and strength are kept.

    A strength above 1 turns an update round, which norms do not show: 1 is taken for it.
    """
    fields = {**_fields(default), "strength": min(default.strength, 1.0)}
    for name in ("rank", "energy_share", "families", "side"):
        fields.pop(name, None)
    return Policy.model_validate({**fields, **method, "selection": selection})


def _cosines(rows: Sequence[ModuleRow]) -> set[float]:
    return {row.cosine for row in rows if row.cosine is not None}


def _ratios(rows: Sequence[ModuleRow]) -> set[float]:
    return {row.cosine / row.baseline for row in rows if row.cosine is not None and row.baseline}


def _shares(rows: Sequence[ModuleRow]) -> set[float]:
    return {count / len(rows) for count in range(len(rows))}


def _between(low: float, high: float) -> float:
    """The shortest decimal above `low` and up to `high`, near the middle."""
    middle = (low + high) / 2
    rounded = (round(middle, digits) for digits in range(1, 17))
    return next((value for value in rounded if low < value <= high), high)


def _thinned(values: Sequence[float]) -> Sequence[float]:
    """At most `MOST_CUTS` of them, evenly, the first and the last among them."""
    if len(values) <= MOST_CUTS:
        return values
    last = len(values) - 1
    return [values[round(i * last / (MOST_CUTS - 1))] for i in range(MOST_CUTS)]


_KNOBS: Final[Mapping[MethodName, Mapping[KnobName, Callable[[Policy, int], Knob]]]] = {
    "safe_lora": {
        "threshold": lambda default, _: Cut(
            default, lambda value: Threshold(threshold=value), _cosines, 1.0
        ),
        "share": lambda default, _: Cut(
            default, lambda value: Lowest(mode="lowest", share=value), _shares, 1.0
        ),
        "ratio": lambda default, _: Cut(
            default, lambda value: Relative(mode="relative", ratio=value), _ratios, 100.0
        ),
    },
    "complement": {
        "rank": lambda default, stored: Rank(default, "input", stored),
    },
}
