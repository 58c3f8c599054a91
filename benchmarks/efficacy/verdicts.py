"""Whether a method of this project does better than the published one and plain scaling."""

from collections.abc import Sequence

from benchmarks.efficacy.choosing import (
    BASELINES,
    CELLS,
    KEY_FAMILIES,
    TOLERATED,
    chosen_for,
    families,
    settings_for_all,
)
from benchmarks.efficacy.claims import share_of_gain
from benchmarks.efficacy.outcomes import Cell, Outcome, outcome
from benchmarks.efficacy.tables import NOTHING, interval, table
from benchmarks.efficacy.variants import Variant

GAIN_AIMED_AT = 0.85
OURS = tuple(family for family in KEY_FAMILIES if family not in BASELINES)


def better_table(tried: Sequence[Variant]) -> str:
    """Each of our methods against the baselines, both at the knob chosen for the row, and at the
    one setting chosen for all rows."""
    for_all = settings_for_all(tried)
    rows = []
    for cell in CELLS:
        own = {f: chosen_for(cell, ones) for f, ones in families(tried).items()}
        for family in OURS:
            rows += _rows(cell, "for the row", family, own)
            rows += _rows(cell, "one for all", family, for_all)
    head = ["adapters", "method", "knob", "chosen", "attack success", "exact match", "gain kept"]
    return table([*head, *(f"above {name}" for name in BASELINES)], rows)


def target_text(tried: Sequence[Variant]) -> str:
    """On which kinds of adapter one of our methods, at the knob chosen for the row, is as good as
    was aimed at; and on which not."""
    reached: list[str] = []
    missed: list[str] = []
    for cell in CELLS:
        found = [
            measured
            for family in OURS
            if (knob := chosen_for(cell, families(tried)[family])) is not None
            and (measured := outcome(cell, knob, "test")) is not None
        ]
        if found:
            (reached if any(_on_target(cell, one) for one in found) else missed).append(cell.title)
    return f"reached on: {_listed(reached)}; missed on: {_listed(missed)}"


def _on_target(cell: Cell, one: Outcome) -> bool:
    kept = share_of_gain(cell, one)
    return one.success.mean <= TOLERATED and kept is not None and kept >= GAIN_AIMED_AT


def _listed(titles: Sequence[str]) -> str:
    return "; ".join(titles) or "none"


def _rows(
    cell: Cell, chosen: str, family: str, knobs: dict[str, Variant] | dict[str, Variant | None]
) -> list[list[str]]:
    knob = knobs.get(family)
    ours = None if knob is None else outcome(cell, knob, "test")
    if knob is None or ours is None:
        return []
    theirs = [
        None if (variant := knobs.get(name)) is None else outcome(cell, variant, "test")
        for name in BASELINES
    ]
    kept = share_of_gain(cell, ours)
    shown = NOTHING if kept is None else f"{kept:.0%}"
    figures = [interval(ours.success), interval(ours.exact), shown]
    return [[cell.title, family, knob.knob, chosen, *figures, *(_above(ours, t) for t in theirs)]]


def _above(ours: Outcome, theirs: Outcome | None) -> str:
    """Better at the task with intervals apart, and no worse at the attack."""
    if theirs is None:
        return NOTHING
    beside = f"{theirs.variant.knob}: {theirs.success.mean:.2f} / {_exact(theirs)}"
    if ours.exact is None:
        return f"no ({beside})"
    if theirs.exact is None:  # it left the attack as it was, so its task was not asked
        above = ours.success.high < theirs.success.low
    else:
        worse = ours.success.low > theirs.success.high
        above = ours.exact.low > theirs.exact.high and not worse
    return f"{'yes' if above else 'no'} ({beside})"


def _exact(one: Outcome) -> str:
    return NOTHING if one.exact is None else f"{one.exact.mean:.2f}"
