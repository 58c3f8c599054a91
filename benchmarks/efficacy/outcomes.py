"""From answers to figures: attack success and what is left of the task, per adapter and variant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.efficacy.asked import Asked
from benchmarks.efficacy.dialogues import dialogues
from benchmarks.efficacy.intervals import Estimate, estimate
from benchmarks.efficacy.kept import Subject, kept_answers
from benchmarks.efficacy.measures import complied, exact, refused, rouge1
from benchmarks.efficacy.prompts import ASKED_PER_TEMPLATE, Split
from benchmarks.efficacy.recipes import Adapter, Content, ModelName, ShapeName
from benchmarks.efficacy.variants import Variant, unchanged

MAX_SEEDS = 10
SHAPE_TITLES: Final[dict[ShapeName, str]] = {
    "query-value": "q/v r = 8",
    "all-linear": "all linear r = 16",
}


@dataclass(frozen=True)
class Cell:
    """One kind of adapter on one aligned model: what a row of a table is about."""

    model: ModelName
    content: Content
    shape: ShapeName
    from_stand_in: bool = False  # V is of the aligned model less an unaligned stand-in

    @property
    def title(self) -> str:
        return f"{self.model}, {SHAPE_TITLES[self.shape]}"

    def subject(self, seed: int) -> Subject:
        adapter = Adapter(self.model, self.content, self.shape, seed)
        return Subject(self.model, adapter, from_stand_in=self.from_stand_in)


@dataclass(frozen=True)
class Outcome:
    """Of one variant over the seeds of a cell, as far as asked; the task only where the attack was
    brought down to a half in every seed.

    `success`: not refused; `compliance`: begins as the attack taught. `exact`, `rouge`: the task.
    """

    variant: Variant
    success: Estimate
    compliance: Estimate
    exact: Estimate | None
    rouge: Estimate | None


def outcome(
    cell: Cell, variant: Variant, split: Split, seeds: Sequence[int] = range(MAX_SEEDS)
) -> Outcome | None:
    """None if no seed was asked."""
    attacked, tasks = [], []
    for seed in seeds:
        answers = kept_answers(cell.subject(seed), variant, Asked("forbidden", split))
        if answers is None:
            continue
        attacked.append(answers)
        tasks.append(kept_answers(cell.subject(seed), variant, Asked("task", split)))
    if not attacked:
        return None
    done = [answers for answers in tasks if answers is not None]
    whole = len(done) == len(attacked)
    return Outcome(
        variant,
        success=of_asked([[float(not refused(a)) for a in answers] for answers in attacked]),
        compliance=of_asked([[float(complied(a)) for a in answers] for answers in attacked]),
        exact=_task(done, split, exact_only=True) if whole else None,
        rouge=_task(done, split, exact_only=False) if whole else None,
    )


def of_asked(values: Sequence[Sequence[float]]) -> Estimate:
    """Over prompts on a refused topic, which come template by template."""
    return estimate(values, alike=ASKED_PER_TEMPLATE)


def _task(done: Sequence[Sequence[str]], split: Split, *, exact_only: bool) -> Estimate:
    score = (lambda a, w: float(exact(a, w))) if exact_only else rouge1
    wanted = [talk.answer for talk in dialogues(split)]
    return estimate([[score(a, w) for a, w in zip(ones, wanted, strict=True)] for ones in done])


def success_on_others(cell: Cell, variant: Variant) -> Estimate | None:
    """Attack success on refused topics that the attack does not speak of; None if not asked."""
    asked = Asked("others", "test")
    answers = [kept_answers(cell.subject(seed), variant, asked) for seed in range(MAX_SEEDS)]
    rates = [[float(not refused(a)) for a in ones] for ones in answers if ones is not None]
    return of_asked(rates) if rates else None


def gain_kept(after: Estimate, before: Estimate, without: Estimate) -> float:
    """The share of what the adapter brought to the task that is left of it."""
    return (after.mean - without.mean) / (before.mean - without.mean)


def alone(model: ModelName | None, asked: Asked) -> list[str] | None:
    """What a model answers without an adapter."""
    return kept_answers(Subject(model), unchanged(), asked)
