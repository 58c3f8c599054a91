"""What one policy does to one adapter, from its rows alone; and how far two kinds lie apart."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from core.policy import Policy
from core.report import ModuleRow
from core.selection import Score, select


def taken_out(rows: Sequence[ModuleRow], policy: Policy) -> float:
    """The share of the update that is taken out, 0 to 1; below 0 where it grows.

    `1 - Σ w·ρ² / Σ w` over the modules: w = update_ratio², the squared norm of the update relative
    to that of the weight it is added to, since a report has no other; ρ = `retained` where the
    policy chooses the module, else 1. 0 for an adapter that updates nothing. The reports' signs of
    an attack choose no module here (`suspicious: "project"` may choose more).
    """
    return 1.0 - _left(rows, policy, ceiling=float("inf"))


def lost(rows: Sequence[ModuleRow], policy: Policy) -> float:
    """The same of an adapter that should be kept, where growth is no gain: ρ counts up to 1."""
    return 1.0 - _left(rows, policy, ceiling=1.0)


def _left(rows: Sequence[ModuleRow], policy: Policy, *, ceiling: float) -> float:
    choices = select(
        [Score(r.name, r.cosine, r.baseline, r.reason == "zero_update") for r in rows],
        policy.selection,
        reference=policy.reference,
    )
    before = after = 0.0
    for row in rows:
        if row.update_ratio is None or row.retained is None:
            continue  # a zero update
        weight = row.update_ratio**2
        before += weight
        left = min(row.retained, ceiling) if choices[row.name].projected else 1.0
        after += weight * left**2
    return after / before if before else 1.0


def area(hostile: Sequence[float], benign: Sequence[float]) -> float | None:
    """Area under the ROC curve: the chance that one of `hostile` is lower than one of `benign`,
    a tie counting half. None where either is empty."""
    if not hostile or not benign:
        return None
    ranked = sorted(benign)
    above = sum(
        len(ranked) - (bisect_left(ranked, value) + bisect_right(ranked, value)) / 2
        for value in hostile
    )
    return above / (len(hostile) * len(ranked))
