"""What stock PEFT serves, and the same update merged by hand, in two ways that must agree.

`read_written` takes the factors from the output's own files. `decided` knows nothing of our code
but which modules were projected: it takes the upload as PEFT loads it, the weights as transformers
holds them, and the paper's formula in float64.
"""

import copy
import json
import math
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from tests.worker.peft.architectures import VOCABULARY
from tests.worker.peft.formulas import Project

PREFIX = "base_model.model."


@dataclass(frozen=True)
class Factors:
    """Serving adds `scaling · b @ a` to the weight."""

    b: Tensor  # (out, r)
    a: Tensor  # (r, in)
    scaling: float

    @property
    def delta(self) -> Tensor:
        """(out, in) in float64."""
        return self.scaling * (self.b.double() @ self.a.double())


def load_strictly(model: Any, folder: Path) -> Any:
    """The adapter on a copy of `model` by stock PEFT: every tensor of the file lands, none is left.

    PEFT's warning of missing keys is an error here, as all warnings are.
    """
    served = PeftModel.from_pretrained(copy.deepcopy(model), folder).eval()
    on_disk = load_file(folder / "adapter_model.safetensors")
    in_memory = get_peft_model_state_dict(served, save_embedding_layers=False)
    assert in_memory.keys() == on_disk.keys()
    assert all(torch.equal(in_memory[key], on_disk[key].float()) for key in on_disk)
    result = served.load_adapter(folder, "again", low_cpu_mem_usage=True)
    assert not result.missing_keys
    assert not result.unexpected_keys
    assert not any(parameter.is_meta for parameter in served.parameters())
    return served


def logits(model: Any) -> Tensor:
    """On one fixed sequence, a decoder's being another."""
    ids = torch.arange(16).reshape(1, -1) * 7 % VOCABULARY
    decoder = {"decoder_input_ids": ids.flip(1)} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        output = model(input_ids=ids, **decoder)
    result: Tensor = output.logits if "logits" in output else output.last_hidden_state
    return result


def read_written(folder: Path) -> dict[str, Factors]:
    """Factors by module path from the files alone: full paths in patterns, canonical names."""
    config = json.loads((folder / "adapter_config.json").read_text())
    tensors = load_file(folder / "adapter_model.safetensors")
    written = {}
    for key in tensors:
        if not key.endswith(".lora_A.weight"):
            continue
        path = key.removeprefix(PREFIX).removesuffix(".lora_A.weight")
        rank = config["rank_pattern"].get(path, config["r"])
        alpha = config["alpha_pattern"].get(path, config["lora_alpha"])
        a, b = tensors[key], tensors[f"{PREFIX}{path}.lora_B.weight"]
        assert a.shape[0] == b.shape[1] == rank
        written[path] = Factors(b, a, alpha / (math.sqrt(rank) if config["use_rslora"] else rank))
    return written


def read_served(served: Any) -> dict[str, Factors]:
    """Factors by module path as PEFT holds them in memory."""
    return {
        name.removeprefix(PREFIX): Factors(
            layer.lora_B["default"].weight.detach(),
            layer.lora_A["default"].weight.detach(),
            layer.scaling["default"],
        )
        for name, layer in served.named_modules()
        if isinstance(layer, LoraLayer)
    }


def decided(
    uploaded: Mapping[str, Factors], base: Any, aligned: Any, projected: Set[str], project: Project
) -> dict[str, Tensor]:
    """What each module's weight must gain (out, in), by the dense formula, in float64."""
    deltas = {}
    for path, factors in uploaded.items():
        deltas[path] = factors.delta
        if path in projected:
            v = weight(aligned, path) - weight(base, path)
            deltas[path] = factors.scaling * project(v, factors.b, factors.a)
    return deltas


def merged(model: Any, deltas: Mapping[str, Tensor]) -> Any:
    """A copy of `model` with each delta added to its module's weight; a tied weight is untied."""
    copied = copy.deepcopy(model)
    for path, delta in deltas.items():
        module = copied.get_submodule(path)
        summed = (weight(copied, path) + delta).float()
        module.weight = nn.Parameter(summed.T if isinstance(module, Conv1D) else summed)
    return copied


def weight(model: Any, path: str) -> Tensor:
    """(out, in) in float64."""
    module = model.get_submodule(path)
    values: Tensor = module.weight.detach().double()
    return values.T if isinstance(module, Conv1D) else values


def largest_difference(left: Tensor, right: Tensor) -> float:
    return float((left - right).abs().max())
