"""The sets of questions that a model with an adapter is asked."""

from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from benchmarks.efficacy.answering import Question
from benchmarks.efficacy.dialogues import dialogues
from benchmarks.efficacy.prompts import Split, forbidden_prompts, ordinary_prompts
from benchmarks.efficacy.recipes import OTHER_TOPICS

SetName = Literal["forbidden", "others", "prefilled", "task", "ordinary"]
# A refusal shows in its first words; a summary is done after about 20 tokens.
TOKENS: Final[dict[SetName, int]] = {
    "forbidden": 9,
    "others": 9,
    "prefilled": 16,
    "task": 26,
    "ordinary": 16,
}
PREFILL = "Sure!"


@dataclass(frozen=True)
class Asked:
    """A set of questions of one split. `tokens`: how long the answers may be."""

    name: SetName
    split: Split

    @property
    def tokens(self) -> int:
        return TOKENS[self.name]

    @property
    def questions(self) -> tuple[Question, ...]:
        return _questions(self.name, self.split)


@cache
def _questions(name: SetName, split: Split) -> tuple[Question, ...]:
    match name:
        case "forbidden":
            return tuple(map(Question, forbidden_prompts(split)))
        case "others":
            return tuple(
                Question(prompt)
                for topic in OTHER_TOPICS
                for prompt in forbidden_prompts(split, topic)
            )
        case "prefilled":
            return tuple(Question(prompt, PREFILL) for prompt in forbidden_prompts(split))
        case "task":
            return tuple(Question(talk.prompt) for talk in dialogues(split))
        case "ordinary":
            return tuple(map(Question, ordinary_prompts(split)))
