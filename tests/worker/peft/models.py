"""Tiny models of real architectures, base and aligned, and adapters that stock PEFT saves."""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)
from transformers.pytorch_utils import Conv1D

from tests.worker.making import generator

VOCABULARY = 64
INIT = 0.15  # the default of 0.02 leaves logits too small to tell right from wrong
CHANGE = 0.05  # std of what alignment adds to each linear weight
UPDATE = 0.08  # std of a trained lora_B


@dataclass(frozen=True)
class Architecture:
    """`blocks` is the path of the list of blocks, `families` the linear modules of one block."""

    name: str
    model: Any
    config: Callable[..., Any]
    blocks: str
    families: tuple[str, ...]
    conv1d: bool = False

    def path(self, layer: int, family: str) -> str:
        """`model.layers.0.mlp.up_proj` for 0 and `mlp.up_proj`."""
        return f"{self.blocks}.{layer}.{family}"

    @property
    def short_names(self) -> list[str]:
        return sorted({family.rpartition(".")[2] for family in self.families})


def _like_llama(name: str, model: Any, config: Any) -> Architecture:
    def sized(**changes: Any) -> Any:
        sizes = {
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "max_position_embeddings": 32,
            "initializer_range": INIT,
        }
        return config(**{**sizes, **changes})

    attention = [f"self_attn.{letter}_proj" for letter in "qkvo"]
    mlp = [f"mlp.{which}_proj" for which in ("gate", "up", "down")]
    return Architecture(name, model, sized, "model.layers", (*attention, *mlp))


def _gpt2(**changes: Any) -> Any:
    sizes = {
        "vocab_size": VOCABULARY,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 32,
        "initializer_range": INIT,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    return GPT2Config(**{**sizes, **changes})


LLAMA = _like_llama("llama", LlamaForCausalLM, LlamaConfig)
MISTRAL = _like_llama("mistral", MistralForCausalLM, MistralConfig)
QWEN2 = _like_llama("qwen2", Qwen2ForCausalLM, Qwen2Config)
GEMMA = _like_llama("gemma", GemmaForCausalLM, GemmaConfig)
GPT2 = Architecture(
    "gpt2",
    GPT2LMHeadModel,
    _gpt2,
    "transformer.h",
    ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"),
    conv1d=True,
)
ARCHITECTURES = [LLAMA, MISTRAL, QWEN2, GEMMA, GPT2]


@dataclass(frozen=True)
class ModelPair:
    """Two models in memory, and in the folders `base` and `aligned`."""

    base_model: Any
    aligned_model: Any
    base: Path
    aligned: Path


def make_pair(folder: Path, architecture: Architecture, **changes: Any) -> ModelPair:
    """A pair of the tiny config with `changes`, the same at each call, saved in float32."""
    base, aligned = build(architecture, **changes)
    return save_pair(folder, base, aligned)


def save_pair(folder: Path, base: Any, aligned: Any, **how: Any) -> ModelPair:
    """Both models by save_pretrained, which takes `how`."""
    for name, model in (("base", base), ("aligned", aligned)):
        model.save_pretrained(folder / name, **how)
    return ModelPair(base, aligned, folder / "base", folder / "aligned")


def build(architecture: Architecture, **changes: Any) -> tuple[Any, Any]:
    """The base model, and the aligned one: the same but for each linear weight."""
    torch.manual_seed(1)
    base = architecture.model(architecture.config(**changes)).eval()
    random = generator(2)
    with torch.no_grad():
        for name, parameter in base.named_parameters():
            if name.endswith("bias"):  # zero as initialised, which would hide a lost one
                parameter += _normal(parameter, random) * INIT
        aligned = copy.deepcopy(base)
        for module in aligned.modules():
            if isinstance(module, nn.Linear | Conv1D):
                module.weight += _normal(module.weight, random) * CHANGE
    return base, aligned


def train(
    folder: Path,
    model: Any,
    *,
    dtype: torch.dtype = torch.float32,
    size: float = UPDATE,
    save_embedding_layers: Any = "auto",
    **config: Any,
) -> Path:
    """An adapter for `model` as PEFT saves it, its lora_B random with std `size`."""
    torch.manual_seed(3)
    settings = {"r": 4, "lora_alpha": 8, "task_type": "CAUSAL_LM", **config}
    adapted = get_peft_model(copy.deepcopy(model), LoraConfig(**settings))
    random = generator(4)
    for name, parameter in adapted.named_parameters():
        if ".lora_B." in name:
            parameter.data = _normal(parameter, random) * size
        if ".lora_" in name:
            parameter.data = parameter.data.to(dtype)
    adapted.save_pretrained(folder, save_embedding_layers=save_embedding_layers)
    return folder


def default_targets(architecture: Architecture) -> dict[str, Any]:
    """LoraConfig fields that adapt every linear module of each block."""
    return {
        "target_modules": architecture.short_names,
        "fan_in_fan_out": architecture.conv1d,
    }


def block_regex(architecture: Architecture) -> str:
    """A regular expression that reaches the first and last family of every block."""
    first, last = (re.escape(architecture.families[index]) for index in (0, -1))
    return rf".*\.\d+\.({first}|{last})"


def _normal(like: Tensor, random: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=random)
