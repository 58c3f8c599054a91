"""Attacks through MLX's tensors, and through what is half PEFT's and half MLX's."""

import json
from dataclasses import replace

import torch
from safetensors.torch import save

from core.store.layout import MLX_MODEL
from tests.hostile.attack import Attack
from tests.hostile.making import (
    A_KEY,
    B_KEY,
    CONFIG_FILE,
    IN,
    OUT,
    Q_PROJ,
    config,
    honest_tensors,
    raw_config,
    raw_model,
)
from tests.hostile.mlx_making import (
    MLX_A,
    MLX_B,
    MLX_CONFIG,
    mlx,
    mlx_added,
    mlx_config,
    mlx_pair_added,
    mlx_tensors,
    transposed,
)
from tests.worker.making import CONFIG

BLOCK = "model.layers.0"
BOTH = {**honest_tensors(), **transposed(honest_tensors())}
PEFT_PAIR = (("unknown_tensor", B_KEY),)
MLX_PAIR = (("unknown_tensor", MLX_B),)

MIXED = [
    Attack(
        "PEFT's config with MLX's scale",
        "be scaled by one reader as PEFT's, by another as MLX's",
        config(lora_parameters={"rank": 2, "scale": 20.0}),
        "field_unknown",
        "lora_parameters",
    ),
    Attack(
        "PEFT's config with MLX's kind",
        "be a LoRA to PEFT and full weights to MLX",
        config(fine_tune_type="full"),
        "field_unknown",
        "fine_tune_type",
    ),
    Attack(
        "PEFT's config over MLX's tensors",
        "be read the other way round",
        raw_model(save(transposed(honest_tensors()))),
        "unknown_tensor",
        MLX_A,
        also=MLX_PAIR,
        no_pairs=True,
    ),
    Attack(
        "PEFT's config over both kinds of tensors",
        "be one adapter to PEFT and another to MLX",
        raw_model(save(BOTH)),
        "unknown_tensor",
        MLX_A,
        also=MLX_PAIR,
    ),
    Attack(
        "adapters.safetensors beside adapter_model.safetensors",
        "be one adapter to PEFT and another to MLX",
        lambda upload: replace(upload, others={MLX_MODEL: save(transposed(honest_tensors()))}),
        "two_adapters",
        MLX_MODEL,
    ),
    mlx(
        "adapter_model.safetensors beside adapters.safetensors",
        "be one adapter to MLX and another to PEFT",
        lambda upload: replace(upload, model=save(honest_tensors())),
        "two_adapters",
        MLX_MODEL,
    ),
    mlx(
        "PEFT's numbers in the config",
        "be scaled by one reader as MLX's, by another as PEFT's",
        mlx_config(r=2, lora_alpha=64),
        "field_unknown",
        "r",
        also=(("field_unknown", "lora_alpha"),),
    ),
    mlx(
        "a peft_type",
        "be taken for PEFT's",
        mlx_config(peft_type="LORA"),
        "field_unknown",
        "fine_tune_type",
        also=(
            *(("field_unknown", name) for name in MLX_CONFIG.keys() - {"fine_tune_type"}),
            ("rank_invalid", "r"),
            ("alpha_invalid", "lora_alpha"),
        ),
    ),
    mlx(
        "a whole config of PEFT's around it",
        "be taken for PEFT's",
        raw_config(json.dumps({**MLX_CONFIG, **CONFIG}).encode()),
        "unknown_tensor",
        MLX_A,
        also=(*MLX_PAIR, *(("field_unknown", name) for name in MLX_CONFIG)),
        no_pairs=True,
    ),
    mlx(
        "PEFT's tensors",
        "be read the other way round",
        mlx_tensors(honest_tensors()),
        "unknown_tensor",
        A_KEY,
        also=PEFT_PAIR,
        no_pairs=True,
    ),
    mlx(
        "both kinds of tensors",
        "be one adapter to MLX and another to PEFT",
        mlx_tensors(BOTH),
        "unknown_tensor",
        A_KEY,
        also=PEFT_PAIR,
    ),
    mlx(
        "both kinds of tensors, PEFT's config",
        "be one adapter to PEFT, which never looks into this file",
        lambda upload: replace(config()(upload), others={MLX_MODEL: save(BOTH)}),
        "unknown_tensor",
        MLX_A,
        also=MLX_PAIR,
    ),
]

SHAPES = [
    mlx(
        "tensors as PEFT has them",
        "make a product of the other shape",
        mlx_tensors({MLX_A: torch.zeros(2, IN), MLX_B: torch.zeros(OUT, 2)}),
        "shape_mismatch",
        MLX_B,
        also=(("rank_mismatch", MLX_A),),
    ),
    mlx(
        "factors exchanged",
        "make a product of the other shape",
        mlx_tensors({MLX_A: torch.zeros(OUT, 2), MLX_B: torch.zeros(2, IN)}),
        "shape_mismatch",
        MLX_A,
        also=(("shape_mismatch", MLX_B),),
    ),
    mlx(
        "experts of a known module",
        "be a product for each expert",
        mlx_tensors({MLX_A: torch.zeros(4, 2, IN), MLX_B: torch.zeros(4, OUT, 2)}),
        "shape_mismatch",
        MLX_B,
    ),
    mlx(
        "one expert",
        "be squeezed into a matrix",
        mlx_tensors({MLX_A: torch.zeros(1, IN, 2), MLX_B: torch.zeros(1, 2, OUT)}),
        "shape_mismatch",
        MLX_B,
    ),
    mlx(
        "one dimension",
        "be no matrix",
        mlx_tensors({MLX_A: torch.zeros(IN), MLX_B: torch.zeros(OUT)}),
        "shape_mismatch",
        MLX_B,
    ),
    mlx(
        "a switch layer",
        "adapt experts that nobody judged",
        mlx_tensors(
            {
                **transposed(honest_tensors()),
                f"{BLOCK}.mlp.switch_mlp.gate_proj.lora_a": torch.zeros(4, 2, IN),
                f"{BLOCK}.mlp.switch_mlp.gate_proj.lora_b": torch.zeros(4, OUT, 2),
            }
        ),
        "module_not_in_alignment",
        f"{BLOCK}.mlp.switch_mlp.gate_proj.lora_b",
    ),
    mlx(
        "NaN",
        "never be below a threshold",
        mlx_tensors({**transposed(honest_tensors()), MLX_B: torch.full((2, OUT), torch.nan)}),
        "non_finite",
        MLX_B,
    ),
]

NAMES = [
    *(
        mlx(name, tries, mlx_added(name, OUT), code, name)
        for name, tries, code in (
            (f"{Q_PROJ}.m", "rescale rows", "dora"),
            (f"{Q_PROJ}.linear.weight", "overwrite a weight", "base_overwrite"),
            (f"{Q_PROJ}.weight", "overwrite a weight", "base_overwrite"),
            ("model.norm.weight", "overwrite a norm", "base_overwrite"),
            (f"{Q_PROJ}.bias", "update a bias", "bias_update"),
            (f"{Q_PROJ}.scales", "change what a quantised weight stands for", "unknown_tensor"),
            (f"{Q_PROJ}.lora_c", "be a third factor", "unknown_tensor"),
            (f"{Q_PROJ}.lora_A", "differ in case only", "unknown_tensor"),
            (f"{Q_PROJ}.lora_a.weight", "be another spelling", "unknown_tensor"),
            (".lora_a", "have an empty path", "unknown_tensor"),
        )
    ),
    *(
        mlx(path, tries, mlx_pair_added(path), code, f"{path}.lora_b")
        for path, tries, code in (
            ("model.embed_tokens", "plant trigger words", "embedding_lora"),
            (f"{BLOCK}.mlp.gate", "choose other experts", "router_lora"),
            (
                "model.layers.9.self_attn.q_proj",
                "adapt what nobody judged",
                "module_not_in_alignment",
            ),
            (f"base_model.model.{Q_PROJ}", "be PEFT's as well", "module_not_in_alignment"),
            ("score", "be one module here and another there", "ambiguous_module"),
        )
    ),
    mlx(
        "twice: without model prefix",
        "have two readers load two different tensors",
        mlx_pair_added(Q_PROJ.removeprefix("model.")),
        "duplicate_module",
        MLX_B,
        also=(("mixed_prefixes", MLX_B),),
    ),
    mlx(
        "lora_a alone",
        "be completed by what a reader has at hand",
        mlx_tensors({MLX_A: torch.zeros(IN, 2)}),
        "unpaired_tensor",
        MLX_A,
    ),
    mlx(
        "no tensors",
        "be an adapter of nothing",
        mlx_tensors({}),
        "no_lora_pairs",
        MLX_MODEL,
    ),
    mlx(
        "a pickle under MLX's name",
        "run code when it is read",
        lambda upload: replace(upload, others={MLX_MODEL: b"\x80\x04}."}),
        "pickle_file",
        MLX_MODEL,
    ),
    Attack(
        "MLX's adapter under PEFT's name, PEFT's config gone",
        "be read without rank and alpha",
        lambda upload: replace(upload, model=save(transposed(honest_tensors())), config=None),
        "config_missing",
        CONFIG_FILE,
    ),
]

MLX_TENSORS = [*MIXED, *SHAPES, *NAMES]
