"""How the cosines of a report are spread, as a picture with the cuts that applied."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.families import family_value
from core.policy import All, Lowest, Policy, Relative, ScoreOnly, Selection, Threshold
from core.render.scales import round_above
from core.render.words import counted
from core.report import ModuleRow

BINS: Final = 20


@dataclass(frozen=True)
class Bin:
    """How many cosines lie from `low` up to `high`, by what became of their modules."""

    low: float
    high: float
    projected: int
    kept: int


@dataclass(frozen=True)
class Cut:
    """A threshold, and how many modules it is for: those of a family by its suffix, or the others
    ("")."""

    value: float
    family: str
    modules: int


@dataclass(frozen=True)
class Distribution:
    """`baseline` is the least, the median and the most of the modules'; `high` where the axis ends.

    The picture is `width` by `height`, in whose margins the axes are.
    """

    bins: Sequence[Bin]
    high: float
    cuts: Sequence[Cut]
    baseline: tuple[float, float, float]
    words: Sequence[str]
    width: int = 480
    height: int = 190
    left: int = 34
    top: int = 24
    bottom: int = 146

    @property
    def most(self) -> int:
        return max(each.projected + each.kept for each in self.bins)

    def x(self, value: float) -> float:
        return self.left + value / self.high * (self.width - self.left - 18)

    def y(self, count: float) -> float:
        return self.bottom - count / self.most * (self.bottom - self.top)


def distribution(modules: Sequence[ModuleRow], policy: Policy) -> Distribution | None:
    """None where no module has a cosine."""
    scored = [row for row in modules if row.cosine is not None]
    if not scored:
        return None
    cosines = [row.cosine or 0.0 for row in scored]
    baselines = [row.baseline for row in scored]
    baseline = (min(baselines), statistics.median(baselines), max(baselines))
    cuts = _cuts(scored, policy.selection)
    high = round_above(max(*cosines, *baselines, *(cut.value for cut in cuts), 0.0))
    middle = statistics.median(cosines)
    words = [
        f"{counted(len(scored), 'cosine')} from {min(cosines):.4f} to {max(cosines):.4f}, half of"
        f" them below {middle:.4f}.",
        _cut_words(policy.selection, cuts),
        "The baseline is what a random update of a module's shape would score; it differs from"
        f" module to module, here from {baseline[0]:.4f} to {baseline[2]:.4f} (median"
        f" {baseline[1]:.4f}).",
    ]
    if len(modules) > len(scored):
        words.append(f"{counted(len(modules) - len(scored), 'module')} without a cosine left out.")
    return Distribution(_bins(scored, high), high, cuts, baseline, words)


def _bins(scored: Sequence[ModuleRow], high: float) -> list[Bin]:
    counts = Counter(
        (min(max(int((row.cosine or 0.0) / high * BINS), 0), BINS - 1), row.projected)
        for row in scored
    )
    step = high / BINS
    return [Bin(n * step, (n + 1) * step, counts[n, True], counts[n, False]) for n in range(BINS)]


def _cuts(scored: Sequence[ModuleRow], selection: Selection) -> list[Cut]:
    """Those that are the same for many modules; highest first."""
    if not isinstance(selection, Threshold):
        return []
    names = {suffix: suffix for suffix in selection.families}
    found = Counter(family_value(row.name, "", names) for row in scored)
    cuts = [
        Cut(selection.families.get(family, selection.threshold), family, modules)
        for family, modules in found.items()
    ]
    return sorted(cuts, key=lambda cut: (-cut.value, cut.family))


def _cut_words(selection: Selection, cuts: Sequence[Cut]) -> str:
    match selection:
        case Threshold():
            if len(cuts) == 1:
                return f"Modules below the cut, {cuts[0].value:g}, were chosen."
            each = (
                f"{cut.value:g} for {counted(cut.modules, 'module')} ({cut.family or 'the others'})"
                for cut in cuts
            )
            return f"Modules below their cut were chosen: {', '.join(each)}."
        case Relative():
            own = ", or what its family has of its own" if selection.families else ""
            return (
                f"There is no one cut: a module's is its baseline times {selection.ratio:g}{own}."
            )
        case Lowest():
            return "The lowest were chosen, wherever they lie: there is no cut to draw."
        case All():
            return "Every module was chosen, whatever its cosine."
        case ScoreOnly():
            return "The policy only scores: no module was chosen."
