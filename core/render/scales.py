"""Which numbers of a module are shown as colours, and which colour a number has."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.report import ModuleRow

SHADES: Final = 10

_VANISHING: Final = 1e-9
_ABSURD: Final = 1e9


@dataclass(frozen=True)
class Measure:
    """A field of `ModuleRow`. `two_sided`: its sign matters, and zero is the middle."""

    field: str
    name: str
    means: str
    two_sided: bool = False

    def of(self, row: ModuleRow) -> float | None:
        value: float | None = getattr(row, self.field)
        return value


MEASURES: Final = (
    Measure(
        "cosine", "cosine", "how far the update lies along what alignment changed in the weight, V"
    ),
    Measure(
        "retained",
        "retained",
        "the share of the update's norm that the method leaves, chosen or not",
    ),
    Measure(
        "signed",
        "signed score",
        "above zero the update points along V, below zero against it",
        two_sided=True,
    ),
    Measure("update_ratio", "update ratio", "the norm of the update next to that of the weight"),
)


@dataclass(frozen=True)
class Scale:
    """`SHADES` equal steps from `low` to `high`; what lies outside has the shade at that end."""

    measure: Measure
    low: float
    high: float

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    @property
    def shades(self) -> list[str]:
        """Their class names, lowest first."""
        return [f"{'d' if self.measure.two_sided else 'q'}{n}" for n in range(SHADES)]

    def shade(self, value: float) -> str:
        share = min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)
        return self.shades[min(math.floor(share * SHADES), SHADES - 1)]


def scales(modules: Sequence[ModuleRow]) -> list[Scale]:
    """One for each measure that any of the modules has."""
    found = []
    for measure in MEASURES:
        values = [value for row in modules if (value := measure.of(row)) is not None]
        if values:
            high = round_above(max(abs(value) for value in values))
            found.append(Scale(measure, -high if measure.two_sided else 0.0, high))
    return found


def round_above(value: float) -> float:
    """The least number with one digit that is no smaller: 0.5 for 0.47. Of a vanishing one 1, of an
    absurd one the bound that it is past."""
    if value < _VANISHING:
        return 1.0
    value = min(value, _ABSURD)
    unit = 10.0 ** math.floor(math.log10(value))
    return next(found for n in range(1, 12) if (found := float(f"{n * unit:.0e}")) >= value)
