"""What an adapter's config says of itself: which library wrote it, and for which base model."""

from collections.abc import Mapping
from typing import Any


def is_mlx(fields: Mapping[str, Any]) -> bool:
    """True for what mlx-lm writes: PEFT always writes a `peft_type`, and has no such fields."""
    return "peft_type" not in fields and ("lora_parameters" in fields or "fine_tune_type" in fields)


def base_model_field(fields: Mapping[str, Any]) -> str:
    """The field that names the base model."""
    return "model" if is_mlx(fields) else "base_model_name_or_path"
