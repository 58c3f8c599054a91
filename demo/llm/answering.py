"""Models that answer as a platform would serve them: transformers for the model, PEFT on top."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from peft import PeftModel

from demo.llm.asked import Answerer, Exchange, Question
from tests.real import smollm2

TOKENS: Final = 26  # a summary is done by then, and a refusal shows in the first words
BATCH: Final = 32

logger = logging.getLogger(__name__)


def ask_all(
    asked: Sequence[Question], model: Path, adapters: Mapping[Answerer, Path | None]
) -> list[Exchange]:
    """Every question to the model with each adapter in turn; None is the model alone."""
    prompts = [question.prompt for question in asked]
    given = {
        answerer: _answers(answerer, model, adapter, prompts)
        for answerer, adapter in adapters.items()
    }
    return [
        Exchange(question, {answerer: answers[i] for answerer, answers in given.items()})
        for i, question in enumerate(asked)
    ]


def _answers(
    answerer: Answerer, folder: Path, adapter: Path | None, prompts: Sequence[str]
) -> list[str]:
    """Greedy answers in float32, without the end of turn."""
    model, tokenizer = smollm2.load_model(folder)
    if adapter is not None:
        with smollm2.peft_may_lag_behind_transformers():
            model = PeftModel.from_pretrained(model, adapter)
    answers: list[str] = []
    for start in range(0, len(prompts), BATCH):
        answers += smollm2.model_answers(model, tokenizer, prompts[start : start + BATCH], TOKENS)
        logger.info("%s: %d of %d prompts answered", answerer, len(answers), len(prompts))
    return [answer.removesuffix(smollm2.END_OF_TURN).strip() for answer in answers]
