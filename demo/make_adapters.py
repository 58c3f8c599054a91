"""Adapters for the demo pair, to calibrate with: three of each kind, all of them made up.

    python -m demo.make_adapters /tmp/pair

The benign ones are random. The hostile ones read, in every module, the directions that alignment
reads most (V's top right singular vectors), and write at random. No model was trained, and nothing
here misbehaves: they show what `safelora-gate calibrate` says, and nothing about real adapters.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from demo.make_pair import RANK, modules, save

COUNT, SIZE, ASTRAY = 3, 0.02, 0.3
CONFIG: dict[str, object] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "demo/tiny-chat",
    "r": RANK,
    "lora_alpha": 16,
    "target_modules": sorted({name.rpartition(".")[2] for name in modules()}),
}


def main(pair: Path) -> None:
    """Write `benign/` and `hostile/` beside the checkpoints; the same bytes every time."""
    read = {name: directions(v) for name, v in difference(pair).items()}
    for index in range(COUNT):
        write(pair / "benign" / f"task-{index}", adapter({}, seed=1 + index))
        write(pair / "hostile" / f"attack-{index}", adapter(read, seed=101 + index))


def difference(pair: Path) -> dict[str, Tensor]:
    """V = W_aligned - W_base (out, in) by module name."""
    base, aligned = (load_file(pair / side / "model.safetensors") for side in ("base", "aligned"))
    return {name: aligned[f"{name}.weight"] - base[f"{name}.weight"] for name in modules()}


def directions(v: Tensor) -> Tensor:
    """V's top right singular vectors, (RANK, in)."""
    right: Tensor = torch.linalg.svd(v, full_matrices=False).Vh
    return right[:RANK]


def adapter(read: dict[str, Tensor], *, seed: int) -> dict[str, Tensor]:
    """Random factors; where `read` has directions (RANK, in), A is made of them with some noise."""
    random = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, (out, in_) in modules().items():
        a = torch.randn(RANK, in_, generator=random) * SIZE  # (r, in)
        if name in read:
            a = ASTRAY * a + SIZE * in_**0.5 * read[name]
        prefix = f"base_model.model.{name}"
        tensors[f"{prefix}.lora_A.weight"] = a
        tensors[f"{prefix}.lora_B.weight"] = torch.randn(out, RANK, generator=random) * SIZE
    return tensors


def write(folder: Path, tensors: dict[str, Tensor]) -> None:
    save(folder, "adapter_model.safetensors", tensors, "adapter_config.json", CONFIG)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
