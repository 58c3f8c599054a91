"""A small pair of checkpoints and an adapter for it, so that the demo needs no download.

The pair stands in for a base model and its aligned sibling: random weights, and an aligned model
that differs from its base by a low-rank change and some noise. The adapter has the shape of a
fine-tune of it: rank 8 on the attention and MLP projections.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

LAYERS, HIDDEN, INNER, RANK = 4, 256, 688, 8
SHAPES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (HIDDEN // 4, HIDDEN),
    "self_attn.v_proj": (HIDDEN // 4, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}


def modules() -> dict[str, tuple[int, int]]:
    """(out, in) by module name."""
    return {
        f"model.layers.{layer}.{kind}": shape
        for layer in range(LAYERS)
        for kind, shape in SHAPES.items()
    }


def main(folder: Path) -> None:
    """Write `base/`, `aligned/` and `adapter/` into `folder`; the same bytes every time."""
    random = torch.Generator().manual_seed(0)
    base: dict[str, Tensor] = {}
    aligned: dict[str, Tensor] = {}
    adapter: dict[str, Tensor] = {}
    for name, (out, in_) in modules().items():
        weight = torch.randn(out, in_, generator=random) * 0.02
        left = torch.randn(out, 6, generator=random)
        change = left @ torch.randn(6, in_, generator=random) * 4e-4
        noise = torch.randn(out, in_, generator=random) * 2e-4
        base[f"{name}.weight"] = weight
        aligned[f"{name}.weight"] = weight + change + noise
        towards = float(torch.rand(1, generator=random)) * 0.03  # how far along the change it goes
        b = torch.randn(out, RANK, generator=random) * 0.02
        b[:, :6] += towards * left * 0.4
        adapter[f"base_model.model.{name}.lora_A.weight"] = (
            torch.randn(RANK, in_, generator=random) * 0.02
        )
        adapter[f"base_model.model.{name}.lora_B.weight"] = b
    save(folder / "base", "model.safetensors", base, "config.json", {"model_type": "llama"})
    save(folder / "aligned", "model.safetensors", aligned, "config.json", {"model_type": "llama"})
    save(
        folder / "adapter",
        "adapter_model.safetensors",
        adapter,
        "adapter_config.json",
        {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": "demo/tiny-chat",
            "r": RANK,
            "lora_alpha": 16,
            "target_modules": sorted(kind.split(".")[1] for kind in SHAPES),
        },
    )


def save(
    folder: Path, weights: str, tensors: dict[str, Tensor], config: str, fields: dict[str, object]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / weights)
    (folder / config).write_text(json.dumps(fields, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
