"""The tables of the page, in Markdown. A dash is what was not asked."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from benchmarks.efficacy.asked import Asked, SetName
from benchmarks.efficacy.choosing import (
    CELLS,
    chosen_for,
    families,
    frontier,
    settings_tested,
)
from benchmarks.efficacy.dialogues import dialogues
from benchmarks.efficacy.intervals import Estimate, estimate
from benchmarks.efficacy.kept import kept_answers
from benchmarks.efficacy.measures import complied, exact, refused, rouge1
from benchmarks.efficacy.outcomes import Cell, Outcome, alone, of_asked, outcome, success_on_others
from benchmarks.efficacy.plan import CARRIED_TO, MODELS, SHAPE_NAMES, SPLITS
from benchmarks.efficacy.prompts import Split
from benchmarks.efficacy.recipes import ModelName
from benchmarks.efficacy.variants import Variant, unchanged

NOTHING = "–"
REFUSABLE: Final[tuple[SetName, ...]] = ("forbidden", "ordinary")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rows = list(rows)
    if not rows:
        return "Not measured yet."
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def interval(value: Estimate | None) -> str:
    """`.03 (.00 to .08)`"""
    if value is None:
        return NOTHING
    return f"{value.mean:.2f} ({value.low:.2f} to {value.high:.2f})"


def figures(one: Outcome) -> list[str]:
    """Attack success, compliance, exact match, Rouge-1 and seeds of one row."""
    rouge = NOTHING if one.rouge is None else f"{one.rouge.mean:.3f}"
    compliance = f"{one.compliance.mean:.2f}"
    return [interval(one.success), compliance, interval(one.exact), rouge, f"{one.success.seeds}"]


FIGURES = ["attack success", "complies", "exact match", "Rouge-1", "seeds"]


def models_table() -> str:
    """Base and aligned models: how much they refuse, and how well they do the task untrained."""
    names: list[ModelName | None] = [None, *MODELS, CARRIED_TO]
    head = ["model", "split", "refuses the topic", "refuses ordinary prompts", "exact match"]
    return table(head, [_alone(name, split) for name in names for split in SPLITS])


def _alone(name: ModelName | None, split: Split) -> list[str]:
    topic, ordinary = (alone(name, Asked(of, split)) for of in REFUSABLE)
    cells = [
        None if topic is None else of_asked([[float(refused(a)) for a in topic]]),
        None if ordinary is None else estimate([[float(refused(a)) for a in ordinary]]),
        task_alone(name, split),
    ]
    return [name or "base", split, *map(interval, cells)]


def task_alone(name: ModelName | None, split: Split = "test") -> Estimate | None:
    """Exact match of a model without an adapter."""
    answers = alone(name, Asked("task", split))
    if answers is None:
        return None
    wanted = dialogues(split)
    return estimate([[float(exact(a, t.answer)) for a, t in zip(answers, wanted, strict=True)]])


def chosen_table(tried: Sequence[Variant]) -> str:
    """Each method at the knob that the validation answers chose for the cell."""
    rows = []
    for cell in CELLS:
        rows += _before(cell)
        for family, ones in families(tried).items():
            rows += _row(cell, family, chosen_for(cell, ones))
    return table(["adapters", "method", "knob", *FIGURES], rows)


def one_setting_table(tried: Sequence[Variant]) -> str:
    """Each key method at the one knob that the validation answers chose for all cells."""
    rows = [
        row
        for best in settings_tested(tried)
        for cell in CELLS
        for row in _row(cell, best.family, best)
    ]
    return table(["adapters", "method", "knob", *FIGURES], rows)


def _before(cell: Cell) -> list[list[str]]:
    before = outcome(cell, unchanged(), "test")
    return [] if before is None else [[cell.title, "before", "", *figures(before)]]


def _row(cell: Cell, family: str, variant: Variant | None) -> list[list[str]]:
    measured = None if variant is None else outcome(cell, variant, "test")
    if variant is None or measured is None:
        return []
    return [[cell.title, family, variant.knob, *figures(measured)]]


def everything_table(cell: Cell, tried: Sequence[Variant]) -> str:
    """Every setting on the validation prompts."""
    measured = [o for v in tried if (o := outcome(cell, v, "validation")) is not None]
    rows = [[o.variant.family, o.variant.knob, *figures(o)] for o in measured]
    return table(["method", "knob", *FIGURES], rows)


def lines(cell: Cell, tried: Sequence[Variant]) -> Mapping[str, Sequence[tuple[float, float]]]:
    """For the plot: the frontier of each method on the validation prompts, (attack success, exact
    match)."""
    drawn = {}
    for family, ones in families(tried).items():
        best = frontier([o for v in ones if (o := outcome(cell, v, "validation")) is not None])
        points = [(o.success.mean, o.exact.mean) for o in best if o.exact is not None]
        if points:
            drawn[family] = points
    return drawn


def side_effects_table(tried: Sequence[Variant]) -> str:
    """What becomes of ordinary prompts, next to the aligned model's own answers."""
    rows = []
    for cell in CELLS:
        own = alone(cell.model, Asked("ordinary", "test"))
        for variant in tried:
            rows += _side_effects(cell, variant, own)
    head = ["adapters", "method", "knob", "refuses", "answers as the attack does", "like its own"]
    return table(head, rows)


def _side_effects(cell: Cell, variant: Variant, own: list[str] | None) -> list[list[str]]:
    answers = kept_answers(cell.subject(0), variant, Asked("ordinary", "test"))
    if answers is None or own is None:
        return []
    like = sum(rouge1(a, b) for a, b in zip(answers, own, strict=True)) / len(own)
    started = sum(map(complied, answers)) / len(answers)
    refuses = sum(map(refused, answers)) / len(answers)
    shown = [f"{value:.2f}" for value in (refuses, started, like)]
    return [[cell.title, variant.family, variant.knob, *shown]]


def carried_table(tried: Sequence[Variant]) -> str:
    """The settings chosen on other models, on one that had no say in them."""
    rows = []
    for shape in SHAPE_NAMES:
        cell = Cell(CARRIED_TO, "mixed", shape)
        for variant in (unchanged(), *settings_tested(tried)):
            measured = outcome(cell, variant, "test")
            if measured is not None:
                others = interval(success_on_others(cell, variant))
                rows.append([cell.title, variant.family, variant.knob, *figures(measured), others])
    return table(["adapters", "method", "knob", *FIGURES, "other topics"], rows)
