"""MLX's adapter_config.json: the arguments of mlx-lm's training command, of which loading uses few.

Serving adds `scale · (x·lora_a)·lora_b`, so alpha is scale · rank.
"""

from collections.abc import Mapping
from typing import Any, Final

from core.findings import Finding, beyond_stripping, finding
from core.store.layout import ADAPTER_CONFIG
from worker.adapter.config_values import is_alpha, is_rank, name_or_null, only, shown
from worker.adapter.model import AdapterConfig

# Arguments that tell how it was trained; loading reads none of them.
_TRAINING: Final = frozenset(
    {
        "adapter_path", "batch_size", "clear_cache_threshold", "config", "data",
        "grad_accumulation_steps", "grad_checkpoint", "iters", "learning_rate", "lora_layers",
        "lr_schedule", "mask_prompt", "max_seq_length", "num_layers", "optimizer",
        "optimizer_config", "project_name", "report_to", "resume_adapter_file", "save_every",
        "seed", "steps_per_eval", "steps_per_report", "test", "test_batches", "train",
        "trust_remote_code", "val_batches", "wandb",
    }
)  # fmt: skip
_LOADING: Final = frozenset({"model", "fine_tune_type", "use_dora", "lora_parameters"})
MAX_PARAMETERS: Final = 50
_PARAMETERS: Final = frozenset({"rank", "scale", "dropout", "keys", "alpha"})


def read_mlx_config(fields: Mapping[str, Any]) -> tuple[AdapterConfig | None, list[Finding]]:
    """The config, or None where the findings leave no update to speak of."""
    given = fields.get("lora_parameters")
    parameters = given if isinstance(given, dict) else {}
    found = [
        *_fields(fields),
        *([] if isinstance(given, dict) else [_invalid("lora_parameters", given)]),
        *_parameters(parameters),
    ]
    if beyond_stripping(found):
        return None, found
    rank = parameters["rank"]
    config = AdapterConfig(
        rank=rank,
        alpha=float(parameters["scale"] * rank),
        use_rslora=False,
        rank_pattern={},
        alpha_pattern={},
        task_type=None,
        base_name=fields.get("model"),
        mlx=True,
    )
    return config, [*found, finding("converted_from_mlx", "file", ADAPTER_CONFIG)]


def _fields(fields: Mapping[str, Any]) -> list[Finding]:
    unknown = sorted(fields.keys() - _TRAINING - _LOADING)
    found = [finding("field_unknown", "field", name, shown(fields[name])) for name in unknown]
    kind = fields.get("fine_tune_type", "lora")
    if kind == "dora":
        found.append(finding("dora", "field", "fine_tune_type", shown(kind)))
    elif kind != "lora":
        found.append(finding("peft_type_unsupported", "field", "fine_tune_type", shown(kind)))
    if not only(None, False)(fields.get("use_dora")):
        found.append(finding("dora", "field", "use_dora", shown(fields["use_dora"])))
    if not name_or_null(fields.get("model")):
        found.append(_invalid("model", fields["model"]))
    return found


def _parameters(parameters: Mapping[str, Any]) -> list[Finding]:
    """Older releases scaled by `scale · alpha / rank`, newer ones ignore alpha: it must not
    matter which."""
    rank, alpha = parameters.get("rank"), parameters.get("alpha")
    scale: Any = parameters.get("scale")
    if len(parameters) > MAX_PARAMETERS:
        return [_invalid("lora_parameters", f"{len(parameters)} parameters")]
    found = [
        _invalid(f"lora_parameters.{shown(name)}", parameters[name])
        for name in sorted(parameters.keys() - _PARAMETERS)
    ]
    if not is_rank(rank):
        found.append(finding("rank_invalid", "field", "lora_parameters.rank", shown(rank)))
    elif not (is_alpha(scale) and is_alpha(scale * rank)):
        found.append(finding("alpha_invalid", "field", "lora_parameters.scale", shown(scale)))
    if alpha is not None and alpha != rank:
        detail = f"{shown(alpha)}: releases of mlx-lm differ on it, unless it equals the rank"
        found.append(finding("field_invalid", "field", "lora_parameters.alpha", detail))
    return found


def _invalid(name: str, value: Any) -> Finding:
    return finding("field_invalid", "field", name, shown(value))
