"""Which setting is proposed, and whether it deserves to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean
from typing import Literal

from core.model import Frozen

MARGIN = 0.05
"""How much more of the hostile updates than of the benign ones a setting must take out. Scaling
every update takes as much from both; less than this is nothing to change a policy for."""

Verdict = Literal["recommended", "no_setting", "scaling", "not_checked", "not_held_out"]


class Candidate(Frozen):
    """One setting: shares of the squared norm (`effect`), mean over the adapters and the worst."""

    value: float
    hostile_taken: float
    hostile_taken_least: float
    benign_lost: float
    benign_lost_most: float

    @property
    def benign_kept_least(self) -> float:
        """Of the norm, ‖after‖ / ‖before‖: what `--keep` is compared with."""
        return sqrt(1.0 - self.benign_lost_most)

    @property
    def advantage(self) -> float:
        """Over scaling, which has none."""
        return self.hostile_taken - self.benign_lost


class HeldOut(Frozen):
    """The same of adapters that had no part in the choice: each in turn was left out of it."""

    hostile_taken: float
    benign_lost: float
    benign_kept_least: float

    @property
    def advantage(self) -> float:
        return self.hostile_taken - self.benign_lost


@dataclass(frozen=True)
class Effects:
    """Of each setting on each adapter: `hostile[i][j]` is taken out of the j-th hostile adapter by
    the i-th setting, `benign[i][j]` lost of the j-th benign one. At least one adapter of a kind."""

    values: Sequence[float]
    hostile: Sequence[Sequence[float]]
    benign: Sequence[Sequence[float]]

    def candidates(self) -> list[Candidate]:
        return [
            Candidate(
                value=value,
                hostile_taken=fmean(taken),
                hostile_taken_least=min(taken),
                benign_lost=fmean(lost),
                benign_lost_most=max(lost),
            )
            for value, taken, lost in zip(self.values, self.hostile, self.benign, strict=True)
        ]

    def without(self, *, hostile: int | None = None, benign: int | None = None) -> "Effects":
        """As if one adapter had never been there."""
        return Effects(
            self.values,
            [_without(row, hostile) for row in self.hostile],
            [_without(row, benign) for row in self.benign],
        )


def choose(candidates: Sequence[Candidate], keep: float) -> int | None:
    """The one that takes most out of the hostile adapters while every benign one keeps `keep` of
    its norm; of equals the one that costs least, then the mildest. None where none takes any."""
    allowed = [
        index
        for index, candidate in enumerate(candidates)
        if candidate.benign_kept_least >= keep and candidate.hostile_taken > 0.0
    ]
    return max(
        allowed,
        key=lambda i: (candidates[i].hostile_taken, -candidates[i].benign_lost, -i),
        default=None,
    )


def hold_out(effects: Effects, keep: float) -> HeldOut | None:
    """What the choice is worth elsewhere; None where leaving one out would leave none of a kind."""
    hostile, benign = len(effects.hostile[0]), len(effects.benign[0])
    if min(hostile, benign) < 2:
        return None
    taken, lost = [], []
    for j in range(hostile):
        chosen = choose(effects.without(hostile=j).candidates(), keep)
        taken.append(0.0 if chosen is None else effects.hostile[chosen][j])
    for j in range(benign):
        chosen = choose(effects.without(benign=j).candidates(), keep)
        lost.append(0.0 if chosen is None else effects.benign[chosen][j])
    return HeldOut(
        hostile_taken=fmean(taken),
        benign_lost=fmean(lost),
        benign_kept_least=sqrt(1.0 - max(lost)),
    )


def judge(candidate: Candidate | None, held_out: HeldOut | None) -> Verdict:
    """Whether the setting that was chosen is worth writing."""
    if candidate is None:
        return "no_setting"
    if candidate.advantage < MARGIN:
        return "scaling"
    if held_out is None:
        return "not_checked"
    return "recommended" if held_out.advantage >= MARGIN else "not_held_out"


def _without(row: Sequence[float], index: int | None) -> Sequence[float]:
    return row if index is None else [*row[:index], *row[index + 1 :]]
