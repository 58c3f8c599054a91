"""Scores → chosen modules. Plain floats, and the only copy of the rule."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.families import family_value
from core.policy import All, Lowest, Relative, ScoreOnly, Selection, Threshold

BORDERLINE = 0.005  # what a float32 cosine can be off by at 11008 × 4096

Reason = Literal[
    "zero_update",
    "below_cut",
    "above_cut",
    "no_overlap",
    "suspicious",
    "all_modules",
    "score_only",
]


@dataclass(frozen=True)
class Score:
    """What the rule needs of one module. `cosine` is None for a zero update, and where none was
    computed, which the selections `all` and `none` can do without."""

    name: str
    cosine: float | None
    baseline: float
    zero_update: bool = False


@dataclass(frozen=True)
class Choice:
    """The verdict on one module, and why. `borderline`: within 0.005 of the cut that applied."""

    projected: bool
    borderline: bool
    reason: Reason


def select(
    scores: Sequence[Score],
    selection: Selection,
    *,
    reference: bool = False,
    suspects: Collection[str] = (),
) -> dict[str, Choice]:
    """Which modules to project: those that the selection chooses, and the `suspects` by name.

    A zero update is never chosen; a cosine of exactly 0 (the projection leaves nothing of the
    update) always is. `reference` decides as the authors' code does: cosines rounded to 5 decimals,
    `<=` for `<`, and `lowest` as a threshold at the Nth lowest, so that ties project more.
    """
    if reference:
        scores = [
            replace(s, cosine=None if s.cosine is None else round(s.cosine, 5)) for s in scores
        ]
    cuts = _cuts(scores, selection)
    lowest = _lowest_names(scores, selection) if not reference else None
    choices = {s.name: _choose(s, cuts[s.name], selection, lowest, reference) for s in scores}
    return {name: _suspected(c) if name in suspects else c for name, c in choices.items()}


def _suspected(choice: Choice) -> Choice:
    """Only what a cut let pass: a policy that only scores projects nothing."""
    return Choice(True, choice.borderline, "suspicious") if choice.reason == "above_cut" else choice


def _choose(
    score: Score, cut: float, selection: Selection, lowest: set[str] | None, reference: bool
) -> Choice:
    if score.zero_update:
        return Choice(False, False, "zero_update")
    if isinstance(selection, ScoreOnly):
        return Choice(False, False, "score_only")
    if isinstance(selection, All):
        return Choice(True, False, "all_modules")
    assert score.cosine is not None  # noqa: S101  (the policy's validator holds this)
    borderline = abs(score.cosine - cut) <= BORDERLINE
    if score.cosine == 0.0:
        return Choice(True, borderline, "no_overlap")
    if isinstance(selection, Lowest) and lowest is not None:
        chosen = score.name in lowest
    else:
        chosen = score.cosine <= cut if reference else score.cosine < cut
    return Choice(chosen, borderline, "below_cut" if chosen else "above_cut")


def _cuts(scores: Sequence[Score], selection: Selection) -> dict[str, float]:
    """The cosine below which each module is chosen."""
    match selection:
        case Threshold():
            return {
                s.name: family_value(s.name, selection.threshold, selection.families)
                for s in scores
            }
        case Relative():
            return {
                s.name: family_value(s.name, selection.ratio, selection.families) * s.baseline
                for s in scores
            }
        case Lowest():
            ranked = _ranked(scores)
            count = min(_count(scores, selection), len(ranked))
            nth = ranked[count - 1].cosine if count else None
            return {s.name: -math.inf if nth is None else nth for s in scores}
        case All():
            return {s.name: math.inf for s in scores}
        case ScoreOnly():
            return {s.name: -math.inf for s in scores}


def _lowest_names(scores: Sequence[Score], selection: Selection) -> set[str] | None:
    if not isinstance(selection, Lowest):
        return None
    return {s.name for s in _ranked(scores)[: _count(scores, selection)]}


def _ranked(scores: Sequence[Score]) -> list[Score]:
    """Lowest cosine first, ties by module name; zero updates have no cosine to rank."""
    with_cosine = [s for s in scores if s.cosine is not None]
    return sorted(with_cosine, key=lambda s: (s.cosine, s.name))


def _count(scores: Sequence[Score], selection: Lowest) -> int:
    """A share is of all modules, rounded up: a share above zero never chooses none."""
    if selection.count is not None:
        return selection.count
    assert selection.share is not None  # noqa: S101  (the policy's validator holds this)
    return math.ceil(selection.share * len(scores) - 1e-9)
