"""What can be wrong with adapter_config.json."""

from functools import partial

from core.findings.rule import refusing

PLAIN_LORA = "Train with target_modules that are linear layers only, and save a plain LoRA."
_SAVED = "Send the file that PEFT's save_pretrained wrote."
_refuse = partial(refusing, "config")

CONFIG = {
    "config_invalid": _refuse(
        "adapter_config.json cannot be read as one JSON object.", _SAVED, '{"r": NaN}'
    ),
    "field_invalid": _refuse(
        "The field has a value that its library does not write there.",
        _SAVED,
        '"use_rslora": "yes"',
    ),
    "field_unknown": _refuse(
        "A field that is not understood may change what the adapter does.",
        "Remove the field, or save the adapter with PEFT 0.21 or older.",
        '"lora_next": true',
        strippable=True,
    ),
    "peft_type_unsupported": _refuse(
        "Only a LoRA is a product B·A that can be projected.",
        "Train a LoRA (peft_type LORA; with MLX, fine_tune_type lora).",
        '"peft_type": "LOHA"',
    ),
    "modules_to_save": _refuse(
        "Full copies of modules are not low-rank and bypass the projection.",
        PLAIN_LORA,
        '"modules_to_save": ["lm_head"]',
        strippable=True,
    ),
    "bias_update": _refuse(
        "A bias update is one-dimensional and bypasses the projection.",
        'Train with bias="none" and lora_bias=False.',
        '"bias": "all", or a tensor ….q_proj.bias',
        strippable=True,
    ),
    "dora": _refuse(
        "DoRA rescales every row of the base weight: a change of full rank that the projection"
        " does not see.",
        "Train with use_dora=False.",
        '"use_dora": true, or a tensor ….lora_magnitude_vector',
        strippable=True,
    ),
    "base_rewriting_init": _refuse(
        "This initialisation rewrites the base weights when the adapter is loaded.",
        "Convert the adapter to a plain LoRA when saving"
        " (save_pretrained with path_initial_model_for_weight_conversion).",
        '"init_lora_weights": "pissa"',
    ),
    "layer_replication": _refuse(
        "It rebuilds the layer stack of the model.",
        "Train with layer_replication=None.",
        '"layer_replication": [[0, 4], [2, 5]]',
    ),
    "variant_unsupported": _refuse(
        "The field switches on a variant of LoRA that computes something else than W + s·B·A.",
        "Train a plain LoRA with this field at PEFT's default.",
        '"alora_invocation_tokens": [1, 2]',
        strippable=True,
    ),
    "target_parameters": _refuse(
        "Updates of raw parameters (fused experts) have no alignment matrix here.",
        PLAIN_LORA,
        '"target_parameters": ["mlp.experts.down_proj"]',
        strippable=True,
    ),
    "trainable_tokens": _refuse(
        "Changed token embeddings can carry trigger words.",
        "Train without new token embeddings.",
        '"trainable_token_indices": [5]',
        strippable=True,
    ),
    "pattern_not_literal": _refuse(
        "Pattern keys are regular expressions that readers run over module names;"
        " only a literal dotted name has one meaning.",
        "Write the pattern as dotted module names of letters, digits, _ and -.",
        '"rank_pattern": {".*q_proj": 64}',
    ),
    "rank_invalid": _refuse(
        "A rank is a whole number from 1 to 2^31.", "Send the config that was saved.", '"r": 0'
    ),
    "alpha_invalid": _refuse(
        "An alpha that is no number from 1e-5 to 1e5 makes no update that can be judged.",
        "Send the config that was saved.",
        '"lora_alpha": 1e300',
    ),
    "rank_mismatch": _refuse(
        "Config and tensors give different ranks, so two readers would scale it differently.",
        "Send weights and config of the same training run.",
        "rank 8 in the tensor, 16 in the config",
    ),
    "auto_mapping_import": _refuse(
        "auto_mapping names a class to import from outside transformers.",
        "Remove auto_mapping, or set task_type.",
        '"auto_mapping": {"base_model_class": "Model", "parent_library": "remote.code"}',
        strippable=True,
    ),
}
