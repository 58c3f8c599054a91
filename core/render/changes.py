"""What was changed, family by family."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from core.render.heat import HeatMap
from core.report import ModuleRow


@dataclass(frozen=True)
class FamilyChange:
    """The modules of one family. `left`: the median of what is left of the norm of those that were
    projected, `cosine` that of all; None where there is none."""

    family: str
    modules: int
    projected: int
    left: float | None
    cosine: float | None
    update_ratio: float | None


def changes(modules: Sequence[ModuleRow], heat: HeatMap) -> list[FamilyChange]:
    """In the heat map's order."""
    rows: dict[str, list[ModuleRow]] = {family: [] for family in heat.families}
    for (family, _), at in heat.index.items():
        rows[family].append(modules[at])
    return [_change(family, of_it) for family, of_it in rows.items()]


def _change(family: str, rows: Sequence[ModuleRow]) -> FamilyChange:
    return FamilyChange(
        family,
        len(rows),
        sum(row.projected for row in rows),
        _median([row.retained for row in rows if row.projected]),
        _median([row.cosine for row in rows]),
        _median([row.update_ratio for row in rows]),
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
