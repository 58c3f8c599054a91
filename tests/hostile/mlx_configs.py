"""Attacks through the config that mlx-lm writes."""

from typing import Any

from tests.hostile.making import CONFIG_FILE, raw_config
from tests.hostile.mlx_making import (
    MLX_A,
    config_replaced,
    mlx,
    mlx_config,
    parameters,
)

NUMBERS = [
    *(
        mlx(
            f"scale {value!r}",
            "be scaled past every cap, or by no number",
            change,
            code,
            subject,
        )
        for value, change, code, subject in (
            *(
                (value, parameters(scale=value), "alpha_invalid", "lora_parameters.scale")
                for value in (0, -1.0, -0.0, 1e-300, 1e300, 99999, True, "2", None, [2.0])
            ),
            ("NaN", config_replaced('"scale": 2.0', '"scale": NaN'), "config_invalid", CONFIG_FILE),
            (
                "1e309",
                config_replaced('"scale": 2.0', '"scale": 1e309'),
                "config_invalid",
                CONFIG_FILE,
            ),
            (
                "twice",
                config_replaced('"rank"', '"scale": 9, "rank"'),
                "duplicate_key",
                CONFIG_FILE,
            ),
        )
    ),
    *(
        mlx(
            f"rank {value!r}",
            "divide by what is no rank",
            parameters(rank=value),
            "rank_invalid",
            "lora_parameters.rank",
        )
        for value in (0, -2, 2.0, True, "2", None, 2**31)
    ),
    mlx("another rank", "be scaled as another", parameters(rank=4), "rank_mismatch", MLX_A),
    *(
        mlx(
            f"alpha {value!r}",
            "be scaled as one release of mlx-lm does, or as another",
            parameters(alpha=value),
            "field_invalid",
            "lora_parameters.alpha",
        )
        for value in (16, 2.5, 0, -2, "2", [2])
    ),
]

NO_PARAMETERS: tuple[Any, ...] = (None, [], "rank 2", 2)

FIELDS = [
    mlx("dora", "rescale rows", mlx_config(fine_tune_type="dora"), "dora", "fine_tune_type"),
    mlx("use_dora", "rescale rows", mlx_config(use_dora=True), "dora", "use_dora"),
    *(
        mlx(
            f"fine_tune_type {kind!r}",
            "be full weights, or a kind of its own",
            mlx_config(fine_tune_type=kind),
            "peft_type_unsupported",
            "fine_tune_type",
        )
        for kind in ("full", "LoRA", None, ["lora"], "")
    ),
    *(
        mlx(
            f"lora_parameters {given}",
            "let readers take their own defaults",
            mlx_config(lora_parameters=given),
            "field_invalid",
            "lora_parameters",
            also=(("rank_invalid", "lora_parameters.rank"),),
        )
        for given in NO_PARAMETERS
    ),
    mlx(
        "an unknown parameter",
        "be scaled by what nobody decided on",
        parameters(rslora=True),
        "field_invalid",
        "lora_parameters.'rslora'",
    ),
    mlx(
        "an unknown field", "use it", mlx_config(layer_types=["x"]), "field_unknown", "layer_types"
    ),
    mlx(
        "a name with escapes",
        "set the terminal's title",
        mlx_config(model="\x1b]0;owned\x07"),
        "field_invalid",
        "model",
    ),
    mlx(
        "a name as list",
        "be no text",
        mlx_config(model=["a"]),
        "field_invalid",
        "model",
    ),
    mlx(
        "the config of LLaVA's projector",
        "be another model's",
        raw_config(b'{"model_type": "mlx", "scale": 2.0}'),
        "peft_type_unsupported",
        "peft_type",
        also=(
            ("field_unknown", "model_type"),
            ("field_unknown", "scale"),
            ("rank_invalid", "r"),
            ("alpha_invalid", "lora_alpha"),
        ),
    ),
]

MLX_CONFIGS = [*NUMBERS, *FIELDS]
