"""What mlx-lm writes, made for tests, and one thing of it changed."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from core.store.layout import MLX_MODEL
from tests.hostile.attack import Attack
from tests.hostile.making import IN, OUT, Q_PROJ, Change, Upload, honest_tensors, raw_config

PARAMETERS: dict[str, Any] = {"rank": 2, "scale": 2.0, "dropout": 0.0, "keys": ["q_proj"]}
MLX_CONFIG: dict[str, Any] = {
    "model": "mlx-community/model-4bit",
    "fine_tune_type": "lora",
    "num_layers": 16,
    "lora_parameters": PARAMETERS,
    "optimizer_config": {"adam": {}},
    "seed": 0,
}
MLX_A, MLX_B = f"{Q_PROJ}.lora_a", f"{Q_PROJ}.lora_b"


def transposed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """PEFT's tensors as MLX has them: other names, and each the other way round."""
    return {
        key.removeprefix("base_model.model.")
        .replace("lora_A.weight", "lora_a")
        .replace("lora_B.weight", "lora_b"): tensor.T.contiguous()
        for key, tensor in tensors.items()
    }


def mlx_upload(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Upload:
    return Upload(None, json.dumps(config).encode(), {MLX_MODEL: save(dict(tensors))})


def mlx_honest() -> Upload:
    """The honest adapter as mlx-lm would have saved it."""
    return mlx_upload(transposed(honest_tensors()), MLX_CONFIG)


def mlx_tensors(tensors: Mapping[str, Tensor]) -> Change:
    """These tensors alone."""
    return lambda upload: replace(upload, others={MLX_MODEL: save(dict(tensors))})


def mlx_added(name: str, *shape: int) -> Change:
    return mlx_tensors({**transposed(honest_tensors()), name: torch.zeros(shape)})


def mlx_pair_added(path: str) -> Change:
    zeros = {f"{path}.lora_a": torch.zeros(IN, 2), f"{path}.lora_b": torch.zeros(2, OUT)}
    return mlx_tensors({**transposed(honest_tensors()), **zeros})


def mlx_config(**fields: Any) -> Change:
    return raw_config(json.dumps({**MLX_CONFIG, **fields}).encode())


def parameters(**fields: Any) -> Change:
    return mlx_config(lora_parameters={**PARAMETERS, **fields})


def mlx(name: str, tries: str, change: Change, code: str, subject: str, **more: Any) -> Attack:
    return Attack(f"mlx: {name}", tries, change, code, subject, honest=mlx_honest, **more)


def config_replaced(old: str, new: str) -> Change:
    """The honest config with a piece of its text replaced."""
    changed = json.dumps(MLX_CONFIG).replace(old, new)
    assert changed != json.dumps(MLX_CONFIG)
    return raw_config(changed.encode())
