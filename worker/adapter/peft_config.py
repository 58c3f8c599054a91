"""PEFT's adapter_config.json: every field is understood and harmless, or it is a finding.

Fields are those of PEFT's LoraConfig (0.21) and the few that older releases wrote.
"""

from collections.abc import Mapping
from typing import Any, Final

from core.findings import Finding, beyond_stripping, finding
from worker.adapter.config_values import Accepts, is_alpha, is_rank, name_or_null, only, shown
from worker.adapter.model import AdapterConfig
from worker.adapter.patterns import is_literal


def read_peft_config(fields: Mapping[str, Any]) -> tuple[AdapterConfig | None, list[Finding]]:
    """The config, or None where the findings leave no update to speak of."""
    findings = [*_peft_type(fields), *_known_fields(fields), *_semantics(fields)]
    return (None if beyond_stripping(findings) else _config(fields)), findings


def _config(fields: Mapping[str, Any]) -> AdapterConfig:
    return AdapterConfig(
        rank=fields["r"],
        alpha=float(fields["lora_alpha"]),
        use_rslora=fields.get("use_rslora") is True,
        rank_pattern=dict(fields.get("rank_pattern") or {}),
        alpha_pattern={k: float(v) for k, v in (fields.get("alpha_pattern") or {}).items()},
        task_type=fields.get("task_type"),
        base_name=fields.get("base_model_name_or_path"),
    )


def _any(_: Any) -> bool:
    return True


MAX_PATTERNS: Final = 20_000
_NOTHING: Final = only(None, [], {}, False)

# Field → what is accepted of it, and the finding code of anything else.
_FIELDS: Final[Mapping[str, tuple[Accepts, str]]] = {
    # read below
    "peft_type": (_any, "peft_type_unsupported"),
    "r": (_any, "rank_invalid"),
    "lora_alpha": (_any, "alpha_invalid"),
    "rank_pattern": (_any, "field_invalid"),
    "alpha_pattern": (_any, "field_invalid"),
    "auto_mapping": (_any, "auto_mapping_import"),
    "use_rslora": (only(True, False, None), "field_invalid"),
    "base_model_name_or_path": (name_or_null, "field_invalid"),
    "task_type": (
        only(
            None,
            "CAUSAL_LM",
            "SEQ_CLS",
            "SEQ_2_SEQ_LM",
            "TOKEN_CLS",
            "QUESTION_ANS",
            "FEATURE_EXTRACTION",
        ),
        "field_invalid",
    ),
    # no part in what the adapter computes once its tensors are paired by name
    "peft_version": (_any, "field_invalid"),
    "revision": (_any, "field_invalid"),
    "inference_mode": (_any, "field_invalid"),
    "lora_dropout": (_any, "field_invalid"),
    "target_modules": (_any, "field_invalid"),
    "exclude_modules": (_any, "field_invalid"),
    "layers_to_transform": (_any, "field_invalid"),
    "layers_pattern": (_any, "field_invalid"),
    "fan_in_fan_out": (only(True, False, None), "field_invalid"),
    "eva_config": (_any, "field_invalid"),
    "init_lora_weights": (
        only(True, False, None, "gaussian", "eva", "orthogonal"),
        "base_rewriting_init",
    ),
    # other behaviour: refused unless it is off
    "modules_to_save": (_NOTHING, "modules_to_save"),
    "bias": (only("none", None), "bias_update"),
    "lora_bias": (only(False, None), "bias_update"),
    "use_dora": (only(False, None), "dora"),
    "layer_replication": (only(None), "layer_replication"),
    "trainable_token_indices": (_NOTHING, "trainable_tokens"),
    "target_parameters": (_NOTHING, "target_parameters"),
    "loftq_config": (_NOTHING, "base_rewriting_init"),
    "corda_config": (_NOTHING, "base_rewriting_init"),
    "lora_ga_config": (_NOTHING, "base_rewriting_init"),
    "kasa_config": (_NOTHING, "base_rewriting_init"),
    "megatron_config": (_NOTHING, "variant_unsupported"),
    "megatron_core": (only("megatron.core", None), "variant_unsupported"),
    "velora_config": (_NOTHING, "variant_unsupported"),
    "monteclora_config": (_NOTHING, "variant_unsupported"),
    "arrow_config": (_NOTHING, "variant_unsupported"),
    "use_bdlora": (_NOTHING, "variant_unsupported"),
    "use_qalora": (only(False, None), "variant_unsupported"),
    "qalora_group_size": (only(16, None), "variant_unsupported"),
    "alora_invocation_tokens": (_NOTHING, "variant_unsupported"),
    "ensure_weight_tying": (only(False, None), "variant_unsupported"),
    "runtime_config": (
        only(None, {}, {"ephemeral_gpu_offload": False}),
        "variant_unsupported",
    ),
    # written by older releases of PEFT
    "enable_lora": (only(None), "variant_unsupported"),
    "merge_weights": (only(False, None), "variant_unsupported"),
}


def known_fields() -> frozenset[str]:
    """Every config field that someone has decided about."""
    return frozenset(_FIELDS)


def _known_fields(fields: Mapping[str, Any]) -> list[Finding]:
    found = []
    for name, value in fields.items():
        if name not in _FIELDS:
            found.append(finding("field_unknown", "field", name, shown(value)))
            continue
        accepts, code = _FIELDS[name]
        if not accepts(value):
            found.append(finding(code, "field", name, shown(value)))
    return found


def _peft_type(fields: Mapping[str, Any]) -> list[Finding]:
    value = fields.get("peft_type")
    if value == "LORA":
        return []
    return [finding("peft_type_unsupported", "field", "peft_type", shown(value))]


def _semantics(fields: Mapping[str, Any]) -> list[Finding]:
    """Numbers that make an update, patterns that are plain names, mappings that import nothing."""
    found = []
    if not is_rank(fields.get("r")):
        found.append(finding("rank_invalid", "field", "r", shown(fields.get("r"))))
    if not is_alpha(fields.get("lora_alpha")):
        detail = shown(fields.get("lora_alpha"))
        found.append(finding("alpha_invalid", "field", "lora_alpha", detail))
    found += _pattern(fields, "rank_pattern", is_rank, "rank_invalid")
    found += _pattern(fields, "alpha_pattern", is_alpha, "alpha_invalid")
    return found + _auto_mapping(fields.get("auto_mapping"))


def _pattern(fields: Mapping[str, Any], name: str, is_valid: Accepts, code: str) -> list[Finding]:
    patterns = fields.get(name)
    if patterns is None:
        return []
    if not isinstance(patterns, dict):
        return [finding("field_invalid", "field", name, shown(patterns))]
    if len(patterns) > MAX_PATTERNS:
        return [finding("field_invalid", "field", name, f"{len(patterns)} keys")]
    found = []
    for key, value in patterns.items():
        if not is_literal(key):
            found.append(finding("pattern_not_literal", "field", name, f"key {shown(key)}"))
        if not is_valid(value):
            found.append(finding(code, "field", f"{name}.{shown(key)}", shown(value)))
    return found


def _auto_mapping(value: Any) -> list[Finding]:
    if value is None:
        return []
    library = value.get("parent_library") if isinstance(value, dict) else None
    if isinstance(library, str) and library.split(".")[0] == "transformers":
        return [finding("auto_mapping_dropped", "field", "auto_mapping", shown(value))]
    return [finding("auto_mapping_import", "field", "auto_mapping", shown(value))]
