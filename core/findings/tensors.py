"""What can be wrong with the names, shapes and values of tensors."""

from functools import partial

from core.findings.config import PLAIN_LORA
from core.findings.rule import refusing

_OVERWRITES = (
    "PEFT loads with strict=False and hands keys it does not know to the model:"
    " the tensor would overwrite a weight of the base model, which no projection touches."
)
_RIGHT_MODEL = "Check that the adapter is for the model of this alignment."
_refuse = partial(refusing, "tensors")

TENSORS = {
    "no_lora_pairs": _refuse(
        "The file holds no lora_A/lora_B pair.",
        "Send a trained adapter.",
        "nothing is left once the policy has stripped what is no pair",
    ),
    "base_overwrite": _refuse(
        _OVERWRITES, PLAIN_LORA, "base_model.model.model.norm.weight", strippable=True
    ),
    "unknown_tensor": _refuse(_OVERWRITES, PLAIN_LORA, "….q_proj.lora_C.weight", strippable=True),
    "embedding_lora": _refuse(
        "A LoRA on embeddings can carry trigger words, and has no alignment matrix here.",
        PLAIN_LORA,
        "….embed_tokens.lora_embedding_A",
        strippable=True,
    ),
    "router_lora": _refuse(
        "A LoRA on a router changes which experts run; it has no alignment matrix here.",
        "Train without the router (gate) in target_modules.",
        "….mlp.gate.lora_B.weight",
        strippable=True,
    ),
    "unpaired_tensor": _refuse(
        "lora_A without lora_B, or the other way round, is no update.",
        "Send the whole adapter.",
        "….q_proj.lora_A.weight alone",
    ),
    "duplicate_module": _refuse(
        "Two spellings name the same module, so two readers may load different tensors.",
        "Keep one: base_model.model.<module>.lora_A.weight.",
        "….q_proj.lora_A.weight beside ….q_proj.lora_A.default.weight",
    ),
    "module_not_in_alignment": _refuse(
        "The alignment has no such module, so its update cannot be judged.",
        _RIGHT_MODEL,
        "….layers.40.… where the model has 32 layers",
        strippable=True,
    ),
    "ambiguous_module": _refuse(
        "The name fits two modules of the alignment, with and without the base-model prefix.",
        "Use the module's full name.",
        "score, where the model has score and model.score",
    ),
    "mixed_prefixes": _refuse(
        "Some modules are named with the base model's prefix and some without it. No model has"
        " both, so a reader would serve only a part of the adapter.",
        "Save the adapter from the model that it was trained on.",
        "model.layers.0.….q_proj beside layers.1.….q_proj",
    ),
    "shape_mismatch": _refuse(
        "The factors do not fit the weight of the registered pair.",
        _RIGHT_MODEL,
        "lora_A of shape [8, 2048], expected [r, 4096]",
    ),
    "dtype_unsupported": _refuse(
        "Only F32, F16 and BF16 tensors can be projected.",
        "Save the adapter in one of these.",
        "a factor in F8_E4M3 or I64",
    ),
    "non_finite": _refuse(
        "NaN and infinities escape every comparison and spread at the first product.",
        "Train again, or send an earlier checkpoint.",
        "one NaN in ….q_proj.lora_B.weight",
    ),
    "rank_over_cap": _refuse(
        "The rank is above the policy's cap.", "Train with a lower rank.", "1024, cap 512"
    ),
    "tensors_over_cap": _refuse(
        "More tensors than the policy's cap.",
        "Send one adapter, not several.",
        "30000 tensors, cap 20000",
    ),
    "elements_over_cap": _refuse(
        "More numbers than the policy's cap.",
        "Train with a lower rank or fewer target_modules.",
        "5000000000 elements, cap 4294967296",
    ),
    "bytes_over_cap": _refuse(
        "More bytes than the policy's cap.",
        "Save in 16 bits or with a lower rank.",
        "9000000000 bytes, cap 8589934592",
    ),
}
