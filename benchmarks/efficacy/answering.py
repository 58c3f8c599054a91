"""A model that answers with an adapter merged into it: greedily, in bfloat16, as it is served.

Updates are added to float32 weights, which are then rounded, as training rounded them at each step.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.efficacy.making import device
from tests.real import smollm2
from tests.real.smollm2 import END_OF_TURN, LINEAR_KINDS
from worker.adapter.model import LoraModule

BATCH = 32


@dataclass(frozen=True)
class Question:
    """A user turn, and how the answer begins where it is put into the model's mouth."""

    prompt: str
    begun: str = ""

    @property
    def turn(self) -> str:
        """Without the default system turn, as in training."""
        return f"<|im_start|>user\n{self.prompt}{END_OF_TURN}\n<|im_start|>assistant\n{self.begun}"


class Answering:
    """Loaded once; updates come and go."""

    def __init__(self, folder: Path) -> None:
        self._model, self._tokenizer = smollm2.load_model(folder)
        self._model.to(device()).eval()
        self._originals = {  # float32
            name.removesuffix(".weight"): parameter.data
            for name, parameter in self._model.named_parameters()
            if name.split(".")[-2] in LINEAR_KINDS
        }
        self._model.to(torch.bfloat16)

    @contextmanager
    def merged(self, modules: Sequence[LoraModule]) -> Iterator[None]:
        """The model with `scaling · B·A` added to each module's weight, until the block ends."""
        for module in modules:
            weight, original = self._weight(module.path), self._originals[module.path]
            b, a = (factor.float().to(weight.device) for factor in (module.b, module.a))
            weight.copy_(torch.addmm(original, b, a, alpha=module.scaling))
        try:
            yield
        finally:
            for module in modules:
                self._weight(module.path).copy_(self._originals[module.path])

    def answers(self, questions: Sequence[Question], tokens: int) -> list[str]:
        """At most `tokens` tokens each, without the end of turn, in the order of the questions."""
        by_length = sorted(range(len(questions)), key=lambda i: len(questions[i].turn))
        answers: dict[int, str] = {}
        for start in range(0, len(by_length), BATCH):
            chosen = by_length[start : start + BATCH]
            answers.update(
                zip(chosen, self._batch([questions[i] for i in chosen], tokens), strict=True)
            )
        return [answers[i] for i in range(len(questions))]

    def _batch(self, questions: Sequence[Question], tokens: int) -> list[str]:
        inputs = self._tokenizer(
            [question.turn for question in questions],
            add_special_tokens=False,
            padding=True,
            padding_side="left",
            return_tensors="pt",
        ).to(device())
        with torch.inference_mode():
            output = self._model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
        texts = self._tokenizer.batch_decode(output[:, inputs.input_ids.shape[1] :])
        return [text.partition(END_OF_TURN)[0].strip() for text in texts]

    def _weight(self, path: str) -> Any:
        return self._model.get_submodule(path).weight.data
