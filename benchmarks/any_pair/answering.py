"""The aligned model, which answers with adapters that stock PEFT loads: as a platform serves it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.any_pair.plan import Questions
from benchmarks.efficacy.making import device
from core.errors import RequestError
from core.store.layout import ADAPTER_MODEL
from tests.real.smollm2 import peft_may_lag_behind_transformers


class Answering:
    """In bfloat16, on the GPU if there is one. Raises `RequestError` for a tokenizer that cannot
    put a prompt as a chat."""

    def __init__(self, folder: Path, batch: int) -> None:
        self._batch_size = batch
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        if self._tokenizer.chat_template is None:
            raise RequestError(
                f"the tokenizer in {folder} has no chat template: put the model's"
                " chat_template.jinja beside it",
                code="no_chat_template",
            )
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
        model.generation_config.max_length = None  # --tokens alone ends an answer
        self._model = model.to(device()).eval()

    @contextmanager
    def adapted(self, adapter: Path | None) -> Iterator[None]:
        """The model with an adapter, until the block ends; None for the model alone.

        Raises `RequestError` if PEFT leaves out any of the adapter's tensors.
        """
        if adapter is None:
            yield
            return
        with peft_may_lag_behind_transformers():
            served = PeftModel.from_pretrained(self._model, adapter)
        try:
            _check_whole(served, adapter)
            yield
        finally:
            served.unload()

    def answers(self, questions: Questions) -> list[str]:
        """In the order of the questions; the longest prompts are asked first, so that a batch
        which is too large for the memory shows at once."""
        chats = [self._chat(prompt) for prompt in questions.prompts]
        by_length = sorted(range(len(chats)), key=lambda i: len(chats[i]), reverse=True)
        answers: dict[int, str] = {}
        for start in range(0, len(by_length), self._batch_size):
            chosen = by_length[start : start + self._batch_size]
            texts = self._batch([chats[i] for i in chosen], questions.tokens)
            answers.update(zip(chosen, texts, strict=True))
        return [answers[i] for i in range(len(chats))]

    def _chat(self, prompt: str) -> str:
        turns = [{"role": "user", "content": prompt}]
        text: str = self._tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=False
        )
        return text

    def _batch(self, chats: Sequence[str], tokens: int) -> list[str]:
        inputs = self._tokenizer(
            chats,
            add_special_tokens=False,
            padding=True,
            padding_side="left",
            return_tensors="pt",
            return_token_type_ids=False,
        ).to(device())
        with torch.inference_mode():
            output = self._model.generate(
                **inputs,
                max_new_tokens=tokens,
                do_sample=False,
                pad_token_id=self._tokenizer.pad_token_id,
            )
        new = output[:, inputs.input_ids.shape[1] :]  # (batch, tokens)
        texts: list[str] = self._tokenizer.batch_decode(new, skip_special_tokens=True)
        return [text.strip() for text in texts]


def _check_whole(served: PeftModel, adapter: Path) -> None:
    """PEFT passes over names that it does not know, and the model would answer as if alone."""
    with safe_open(adapter / ADAPTER_MODEL, framework="pt") as file:
        given = {key for key in file.keys() if ".lora_" in key}  # noqa: SIM118  (no mapping)
    loaded = get_peft_model_state_dict(served, save_embedding_layers=False).keys()
    if not given <= loaded:
        raise RequestError(
            f"PEFT leaves out {len(given - loaded)} of {len(given)} tensors of {adapter}: save the"
            " adapter anew with PEFT's save_pretrained, or leave it out",
            code="adapter_not_loaded_whole",
        )
