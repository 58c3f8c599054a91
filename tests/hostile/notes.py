"""What is let in and noted: one case for each code that stops nothing."""

from dataclasses import dataclass, replace

import torch

from core.policy import Policy
from tests.hostile.making import (
    A_KEY,
    B_KEY,
    CONFIG_FILE,
    DOWN_PROJ,
    IN,
    OUT,
    PREFIX,
    Q_PROJ,
    Change,
    config,
    only,
    pair_weights,
    tensors,
)
from tests.hostile.mlx_making import mlx_honest
from tests.worker.making import lora

UP_PROJ = "model.layers.0.mlp.up_proj"
EMBEDDING = "model.embed_tokens.weight"
OF_TRANSFORMERS = {"base_model_class": "X", "parent_library": "transformers.models.x"}


@dataclass(frozen=True)
class Noted:
    """`change` makes of the honest upload one that is let in with exactly this note."""

    shows: str
    change: Change
    code: str
    subject: str
    policy: Policy | None = None
    known: tuple[str, ...] = ()


def cancelling() -> Change:
    """Two columns of B that are nearly one, over two rows of A that are opposite."""
    b, a = torch.ones(OUT), torch.ones(IN) * 0.1
    b_factor = torch.stack([b * 100 + torch.arange(OUT) * 0.01, b * 100], dim=1)
    return only({A_KEY: torch.stack([a, -a]), B_KEY: b_factor})


NOTES = [
    Noted(
        "a harmless file beside the adapter",
        lambda upload: replace(upload, others={"README.md": b"hi"}),
        "file_not_carried",
        "README.md",
    ),
    Noted(
        "another base model's name",
        config(base_model_name_or_path="C:\\models\\llama"),
        "base_name_differs",
        "base_model_name_or_path",
        known=("org/llama",),
    ),
    Noted(
        "the aligned model's own weight, as PEFT saves it beside an adapted embedding",
        tensors()({PREFIX + EMBEDDING: pair_weights()[1][EMBEDDING]}),
        "base_copy_dropped",
        PREFIX + EMBEDDING,
    ),
    Noted(
        "a class of transformers to import",
        config(auto_mapping=OF_TRANSFORMERS),
        "auto_mapping_dropped",
        "auto_mapping",
    ),
    Noted(
        "a module with a scale of its own",
        tensors(alpha_pattern={"up_proj": 6})(lora({UP_PROJ: (OUT, IN)})),
        "scale_by_pattern",
        "alpha_pattern",
    ),
    Noted("an adapter of MLX's", lambda _: mlx_honest(), "converted_from_mlx", CONFIG_FILE),
    Noted("factors that cancel", cancelling(), "refactored", Q_PROJ),
    Noted(
        "a subspace that is all there is",
        only(lora({DOWN_PROJ: (IN, OUT)})),
        "projection_is_identity",
        DOWN_PROJ,
        policy=Policy.model_validate({"method": "subspace", "energy_share": 1.0}),
    ),
    Noted(
        "scores that need no V",
        lambda upload: upload,
        "scored_without_v",
        "policy.scores",
        policy=Policy.model_validate(
            {"method": "zero", "selection": {"mode": "all"}, "scores": "spectrum"}
        ),
    ),
]
