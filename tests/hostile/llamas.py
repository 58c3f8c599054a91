"""A tiny Llama that stock PEFT serves, and adapters that it saves for it."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from tests.hostile.making import Folders
from tests.worker.making import generator, lora

# PEFT 0.21 reads a property that transformers 5 renamed.
PEFT_NOISE = "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
HIDDEN, VOCABULARY = 16, 24
TOKENS = torch.arange(8)[None]
Q_PROJ = "model.layers.0.self_attn.q_proj"
O_PROJ = "model.layers.0.self_attn.o_proj"


def make_llamas(folder: Path) -> Folders:
    """One with biases, and the same one after a change of every linear weight."""
    random = generator(3)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=HIDDEN,
            intermediate_size=24,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            attention_bias=True,
            tie_word_embeddings=False,
        )
    )
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=random) * 0.3
    model.save_pretrained(folder / "base")
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data += torch.randn(parameter.shape, generator=random) * 0.05
    model.save_pretrained(folder / "aligned")
    return Folders(folder / "base", folder / "aligned")


def aligned_model(llamas: Folders) -> Any:
    return LlamaForCausalLM.from_pretrained(llamas.aligned)


def serve(llamas: Folders, adapter: Path) -> Any:
    """The adapter on the aligned model, by stock PEFT."""
    return PeftModel.from_pretrained(aligned_model(llamas), adapter).eval()


def layer(served: Any, path: str = Q_PROJ) -> Any:
    """The module as PEFT has wrapped it."""
    return served.get_submodule(f"base_model.model.{path}")


@torch.no_grad()
def logits(model: Any, tokens: Tensor = TOKENS) -> Tensor:
    result: Tensor = model(input_ids=tokens).logits
    return result


def zero_lora() -> dict[str, Tensor]:
    """A LoRA on q_proj that changes nothing."""
    tensors = lora({Q_PROJ: (HIDDEN, HIDDEN)})
    return {k: torch.zeros_like(t) if "lora_B" in k else t for k, t in tensors.items()}


def trained(folder: Path, llamas: Folders, touched: str, **config: Any) -> Path:
    """What PEFT saves of an adapter on q_proj once the parameters named by `touched` are random.

    Nothing else is trained: lora_B is zero unless it is named.
    """
    settings = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"}
    torch.manual_seed(3)
    adapted = get_peft_model(aligned_model(llamas), LoraConfig(**{**settings, **config}))
    random = generator(9)
    for name, parameter in adapted.named_parameters():
        if touched and touched in name:
            parameter.data = torch.randn(parameter.shape, generator=random)
    adapted.save_pretrained(folder, save_embedding_layers=False)
    return folder
