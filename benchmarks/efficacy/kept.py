"""What has been measured, in files that are written whole or not at all."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.efficacy.asked import Asked
from benchmarks.efficacy.making import CACHE, adapter_digest
from benchmarks.efficacy.recipes import ALIGNED, STAND_IN, Adapter, ModelName
from benchmarks.efficacy.variants import Variant
from core.canonical import Json
from core.policy import Policy
from tests.real.smollm2 import recipe_digest

ANSWERS_VERSION = 2  # raise it when the same model would answer otherwise
FACTS_VERSION = 1


@dataclass(frozen=True)
class Subject:
    """An aligned model with an adapter, or alone. `made`: the adapter's name where it was built
    rather than trained, and its digest. `from_stand_in`: sanitized with V from the stand-in."""

    model: ModelName | None  # None: the base
    adapter: Adapter | None = None
    made: tuple[str, str] | None = None
    from_stand_in: bool = False

    @property
    def name(self) -> str:
        if self.made is not None:
            return f"{self.model}-{self.made[0]}"
        if self.adapter is None:
            return self.model or "base"
        return self.adapter.name + ("-stand-in" if self.from_stand_in else "")

    @cached_property
    def digest(self) -> str:
        training = None if self.model is None else ALIGNED[self.model]
        adapted = None if self.adapter is None else adapter_digest(self.adapter)
        pair = STAND_IN if self.from_stand_in else None
        return recipe_digest(training, adapted, self.made, pair)


def kept_answers(subject: Subject, variant: Variant, asked: Asked) -> list[str] | None:
    """None if they have not been asked."""
    path = _answers_path(subject, variant, asked)
    return json.loads(path.read_text())["answers"] if path.is_file() else None


def keep_answers(subject: Subject, variant: Variant, asked: Asked, answers: Sequence[str]) -> None:
    content: dict[str, Json] = {
        "subject": subject.name,
        "variant": f"{variant.family} {variant.knob}",
        "asked": f"{asked.name} {asked.split}",
        "answers": list(answers),
    }
    _write(_answers_path(subject, variant, asked), content)


def kept_facts(subject: Subject, variant: Variant) -> Json | None:
    """What the product's report said of it; None if it has not been sanitized."""
    path = _facts_path(subject, variant)
    return json.loads(path.read_text()) if path.is_file() else None


def keep_facts(subject: Subject, variant: Variant, facts: dict[str, Json]) -> None:
    _write(_facts_path(subject, variant), facts)


Scores = dict[str, dict[str, float]]  # by module, by score


def kept_scores(subject: Subject) -> Scores | None:
    """What the product says of each module; None if it was not scored."""
    path = _scores_path(subject)
    return json.loads(path.read_text())["modules"] if path.is_file() else None


def keep_scores(subject: Subject, scores: Scores) -> None:
    modules: dict[str, Json] = {module: {**row} for module, row in scores.items()}
    _write(_scores_path(subject), {"subject": subject.name, "modules": modules})


def _scores_path(subject: Subject) -> Path:
    digest = recipe_digest(FACTS_VERSION, subject.digest)
    return CACHE / "scores" / subject.name / f"{digest[:32]}.json"


def _answers_path(subject: Subject, variant: Variant, asked: Asked) -> Path:
    turns = [question.turn for question in asked.questions]
    digest = recipe_digest(ANSWERS_VERSION, subject.digest, _change(variant), turns, asked.tokens)
    return CACHE / "answers" / subject.name / f"{digest[:32]}.json"


def _facts_path(subject: Subject, variant: Variant) -> Path:
    digest = recipe_digest(FACTS_VERSION, subject.digest, _change(variant))
    return CACHE / "facts" / subject.name / f"{digest[:32]}.json"


def _change(variant: Variant) -> Json:
    change = variant.change
    if isinstance(change, Policy):
        return change.as_json()
    return asdict(change) if is_dataclass(change) else None


def _write(path: Path, content: dict[str, Json]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half_made = path.with_suffix(f".{os.getpid()}")
    half_made.write_text(json.dumps(content, indent=1, ensure_ascii=False))
    half_made.replace(path)
