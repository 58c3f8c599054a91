"""Small pairs and adapters made for tests, in files as the real ones are."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from core.policy import Policy
from core.report import Report
from worker.adapter import AdapterFiles
from worker.alignment.difference import Difference
from worker.alignment.make import Recipe
from worker.alignment.pair import Pair
from worker.alignment.source import PairAlignment
from worker.pipeline import BaseNames, sanitize
from worker.projection.norms import frobenius
from worker.tracking import Tracker

GOLDEN = Path(__file__).parents[1] / "golden" / "tiny-llama"
CONFIG: dict[str, Any] = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def save_checkpoint(folder: Path, weights: Mapping[str, Tensor], **config: Any) -> Path:
    """A checkpoint of these weights in one file."""
    folder.mkdir(parents=True)
    save_file(dict(weights), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    return folder


def save_adapter(folder: Path, tensors: Mapping[str, Tensor], **config: Any) -> Path:
    """An adapter with these tensors, rank 2 and alpha 4 unless told otherwise."""
    folder.mkdir(parents=True)
    save_file(dict(tensors), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **config}))
    return folder


def lora(
    shapes: Mapping[str, tuple[int, int]], *, rank: int = 2, seed: int = 0
) -> dict[str, Tensor]:
    """Random factors for modules of the given (out, in), under canonical names."""
    random = generator(seed)
    tensors = {}
    for path, (out, in_) in shapes.items():
        prefix = f"base_model.model.{path}"
        tensors[f"{prefix}.lora_A.weight"] = torch.randn(rank, in_, generator=random) * 0.05
        tensors[f"{prefix}.lora_B.weight"] = torch.randn(out, rank, generator=random) * 0.05
    return tensors


def exactly(v: Tensor, *, aligned_norm: float = 1.0) -> Difference:
    """V (out, in) in float32 as the difference of two weights that nobody needs."""
    return Difference(v, "F32", 0.0, frobenius(v), aligned_norm, shard="", aligned_sha256="")


@contextmanager
def pair_alignment(base: Path, aligned: Path, rank: int = 64) -> Iterator[PairAlignment]:
    with Pair(base, aligned) as pair:
        yield PairAlignment(pair, Recipe("float32", rank), torch.device("cpu"))


def run(
    adapter: Path,
    base: Path,
    aligned: Path,
    output: Path,
    policy: Policy | None = None,
    base_names: BaseNames | None = None,
) -> Report:
    """The pipeline on a pair, as the offline command runs it. `output` is made."""
    output.mkdir(parents=True)
    with pair_alignment(base, aligned) as alignment:
        return sanitize(
            AdapterFiles(adapter),
            alignment,
            policy or Policy(),
            output,
            base_names=base_names or BaseNames(),
            tracker=Tracker(),
        )
