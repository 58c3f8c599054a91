"""What is no module: embeddings and routers by whatever name, heads that are not tied."""

from pathlib import Path

import pytest
import torch

from tests.worker.making import generator, save_checkpoint
from worker.alignment.checkpoint import Checkpoint

ROUTERS = [
    "mlp.gate",
    "mlp.gate.wg",
    "block_sparse_moe.gate",
    "mlp.router",
    "mlp.router.layer",
    "mlp.router.classifier",
    "router.proj",
    "mlp.router_gate",
    "mlp.shared_expert_gate",
]
EMBEDDINGS = [
    "embed_tokens",
    "embed_in",
    "wte",
    "wpe",
    "shared",
    "tok_embeddings",
    "embeddings.word_embeddings",
    "SelfAttention.relative_attention_bias",
    "embed_tokens_per_layer",
]
LINEAR = ["mlp.gate_proj", "mlp.experts.0.gate_proj", "self_attn.q_proj", "embed_out", "proj"]


def checkpoint(folder: Path, *names: str, **config: object) -> Checkpoint:
    random = generator(1)
    weights = {f"{name}.weight": torch.randn(4, 4, generator=random) for name in names}
    return Checkpoint(save_checkpoint(folder / "checkpoint", weights, **config))


@pytest.mark.parametrize(
    ("name", "reason"),
    [*((name, "router") for name in ROUTERS), *((name, "embedding") for name in EMBEDDINGS)],
)
def test_no_router_and_no_embedding_is_a_module(name: str, reason: str, tmp_path: Path) -> None:
    """An update of theirs is refused by a code of its own, never judged as a linear module's."""
    path = f"model.layers.0.{name}"
    with checkpoint(tmp_path, path, tie_word_embeddings=False) as opened:
        assert (opened.weights, opened.left_out) == ({}, {path: reason})


@pytest.mark.parametrize("name", LINEAR)
def test_linear_modules_are_modules(name: str, tmp_path: Path) -> None:
    """Names that only look like a router's or an embedding's."""
    with checkpoint(tmp_path, name, tie_word_embeddings=False) as opened:
        assert list(opened.weights) == [name]


def test_a_head_by_another_name_is_not_tied(tmp_path: Path) -> None:
    """GPT-NeoX calls it embed_out: silence of the config makes no second head of the embedding."""
    with checkpoint(tmp_path, "gpt_neox.embed_in", "embed_out") as opened:
        assert list(opened.weights) == ["embed_out"]
