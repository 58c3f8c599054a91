"""Is a policy at least as strong as the alignment's floor? The uploader must not go below."""

from core.families import family_value
from core.findings import STRIPPABLE
from core.policy import (
    All,
    Caps,
    Directions,
    Extras,
    Lowest,
    MethodName,
    Policy,
    Relative,
    Selection,
    Suspicion,
    Threshold,
)

_STRICTNESS: tuple[Suspicion, ...] = ("report", "project", "refuse")


def below_floor(policy: Policy, floor: Policy) -> list[str]:
    """The fields in which `policy` is weaker than `floor`, or cannot be compared with it.

    Empty: allowed. A policy that only scores publishes nothing, so only its caps are held.
    """
    weaker = _caps(policy.caps, floor.caps)
    if not policy.publishes:
        return weaker
    if not _method_holds(policy, floor):
        weaker.append("method")
    if not _strength_holds(policy.strength, floor.strength):
        weaker.append("strength")
    if not floor.publishes or not _selection_holds(policy.selection, floor.selection):
        weaker.append("selection")
    if policy.reference != floor.reference:
        weaker.append("reference")
    if floor.loads_v and not policy.loads_v:
        weaker.append("scores")
    if not _extras_hold(policy.extras, floor.extras):
        weaker.append("extras")
    if _STRICTNESS.index(policy.suspicious) < _STRICTNESS.index(floor.suspicious):
        weaker.append("suspicious")
    return weaker


def _caps(caps: Caps, floor: Caps) -> list[str]:
    names = ("rank", "tensors", "elements", "bytes", "update_ratio")
    return [f"caps.{name}" for name in names if getattr(caps, name) > getattr(floor, name)]


def _extras_hold(extras: Extras, floor: Extras) -> bool:
    """Nothing is stripped that the floor refuses."""
    return all(
        extras.handling(code) == "refuse" or floor.handling(code) == "strip" for code in STRIPPABLE
    )


def _method_holds(policy: Policy, floor: Policy) -> bool:
    """`zero` takes out everything; two methods of another kind cannot be ranked."""
    if policy.method == "zero":
        return True
    if (policy.method, policy.side) != (floor.method, floor.side):
        return False
    return all(
        _directions_hold(policy.directions(suffix), floor.directions(suffix), policy.method)
        for suffix in ("", *policy.families, *floor.families)
    )


def _strength_holds(mine: float, floor: float) -> bool:
    """Past 1 more is not stronger: what an upload has there is turned round, so whoever chooses how
    far can send it turned the other way."""
    return mine == floor or floor <= mine <= 1.0


def _directions_hold(mine: Directions | None, floor: Directions | None, method: MethodName) -> bool:
    """`complement` takes out at least as many, `subspace` keeps no more; a rank and a share of the
    energy cannot be compared."""
    if mine == floor or mine is None or floor is None:
        return mine == floor
    if mine.rank is not None and floor.rank is not None:
        value, bound = float(mine.rank), float(floor.rank)
    elif mine.energy_share is not None and floor.energy_share is not None:
        value, bound = mine.energy_share, floor.energy_share
    else:
        return False
    return value >= bound if method == "complement" else value <= bound


def _selection_holds(selection: Selection, floor: Selection) -> bool:
    """Does `selection` choose every module that `floor` chooses, whatever the scores?"""
    if isinstance(selection, All):
        return True
    if isinstance(selection, Threshold) and isinstance(floor, Threshold):
        return _by_family(selection.threshold, selection.families, floor.threshold, floor.families)
    if isinstance(selection, Relative) and isinstance(floor, Relative):
        return _by_family(selection.ratio, selection.families, floor.ratio, floor.families)
    if isinstance(selection, Lowest) and isinstance(floor, Lowest):
        if selection.count is not None and floor.count is not None:
            return selection.count >= floor.count
        if selection.share is not None and floor.share is not None:
            return selection.share >= floor.share
    return False


def _by_family(
    value: float, families: dict[str, float], floor: float, floor_families: dict[str, float]
) -> bool:
    """Every suffix named on either side, and the rest, must be cut at least as high."""
    if value < floor:
        return False
    suffixes = families.keys() | floor_families.keys()
    return all(
        family_value(suffix, value, families) >= family_value(suffix, floor, floor_families)
        for suffix in suffixes
    )
