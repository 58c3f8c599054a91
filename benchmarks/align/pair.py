"""A pair of sharded bfloat16 checkpoints with the layer shapes of Llama-2-7B, made up."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

HIDDEN, INNER, VOCABULARY = 4096, 11008, 32000
SHAPES = {
    **{f"self_attn.{name}_proj": (HIDDEN, HIDDEN) for name in "qkvo"},
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": HIDDEN,
    "tie_word_embeddings": False,
}
WEIGHT, CHANGE, DIRECTIONS = 0.02, 0.0006, 16  # std of a weight, of what alignment did to it


def make_pair(folder: Path, layers: int) -> tuple[Path, Path]:
    """Base and aligned model of that many layers, made unless they are there: a shard a layer."""
    base, aligned = folder / "base", folder / "aligned"
    done = folder / f"{layers}-layers"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        for model in (base, aligned):
            model.mkdir(parents=True)
        placed: dict[str, str] = {}
        for number, names in enumerate(_shards(layers)):
            file = f"model-{number:05}.safetensors"
            pairs = {name: _weights(name, shape) for name, shape in names.items()}
            save_file({name: pair[0] for name, pair in pairs.items()}, base / file)
            save_file({name: pair[1] for name, pair in pairs.items()}, aligned / file)
            placed |= dict.fromkeys(names, file)
        for model in (base, aligned):
            (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
            (model / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": layers}))
        done.touch()
    return base, aligned


def _shards(layers: int) -> Iterator[dict[str, tuple[int, ...]]]:
    yield {
        "model.embed_tokens.weight": (VOCABULARY, HIDDEN),
        "lm_head.weight": (VOCABULARY, HIDDEN),
        "model.norm.weight": (HIDDEN,),
    }
    for layer in range(layers):
        prefix = f"model.layers.{layer}"
        norms = {f"{prefix}.{n}_layernorm.weight": (HIDDEN,) for n in ("input", "post_attention")}
        yield {**{f"{prefix}.{name}.weight": shape for name, shape in SHAPES.items()}, **norms}


def _weights(name: str, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The base model's, and the aligned one's: a few directions more than noise."""
    random = torch.Generator().manual_seed(sum(name.encode()))
    base = torch.randn(shape, generator=random).mul_(WEIGHT)
    change = torch.randn(shape, generator=random).mul_(CHANGE)
    if len(shape) == 2:
        left = torch.randn(shape[0], DIRECTIONS, generator=random) / torch.arange(1, DIRECTIONS + 1)
        change += left @ torch.randn(DIRECTIONS, shape[1], generator=random) * CHANGE
    return base.bfloat16(), (base.bfloat16().float() + change).bfloat16()
