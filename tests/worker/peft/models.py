"""Pairs of models, base and aligned, and adapters that stock PEFT saves for them."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from tests.worker.making import generator
from tests.worker.peft.architectures import INIT, Architecture

CHANGE = 0.05  # std of what alignment adds to each linear weight
UPDATE = 0.08  # std of a trained lora_B


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


def _normal(like: Tensor, random: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=random)
