"""The finding codes: what was found in an adapter, why it matters, and what the uploader can do."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from core.model import Frozen

Severity = Literal["refuse", "note"]
Kind = Literal["tensor", "field", "file", "module"]


@dataclass(frozen=True)
class Rule:
    """What one code stands for. The code is stable; the words may get better."""

    severity: Severity
    why: str
    action: str


class Finding(Frozen):
    """One thing found: `kind` and `subject` name the tensor, config field, file or module."""

    code: str
    severity: Severity
    kind: Kind
    subject: str
    detail: str
    why: str
    action: str


LONGEST_SHOWN = 500  # characters of a subject or detail


def finding(code: str, kind: Kind, subject: str, detail: str = "") -> Finding:
    """A finding of a known code. Raises KeyError for a code that is not in `RULES`.

    Names from an upload are made printable and cut here, so that no report, page, log or terminal
    gets them raw.
    """
    rule = RULES[code]
    return Finding(
        code=code,
        severity=rule.severity,
        kind=kind,
        subject=_shown(subject),
        detail=_shown(detail),
        why=rule.why,
        action=rule.action,
    )


def printable(text: str) -> str:
    """Without control characters: a name must not move the cursor of whoever reads it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _shown(text: str) -> str:
    cut = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
    return printable(cut)


def refusals(findings: list[Finding]) -> list[Finding]:
    """Those that stop the adapter."""
    return [f for f in findings if f.severity == "refuse"]


def first_of_each(findings: list[Finding], limit: int) -> list[Finding]:
    """At most `limit`: refusals before notes, and every code once before any code twice."""
    seen: Counter[str] = Counter()
    ranked = []
    for index, found in enumerate(findings):
        ranked.append((found.severity != "refuse", seen[found.code], index))
        seen[found.code] += 1
    return [findings[index] for *_, index in sorted(ranked)[:limit]]


_OVERWRITES = (
    "PEFT loads with strict=False and hands keys it does not know to the model:"
    " the tensor would overwrite a weight of the base model, which no projection touches."
)
_PLAIN_LORA = "Train with target_modules that are linear layers only, and save a plain LoRA."


def _refuse(why: str, action: str) -> Rule:
    return Rule("refuse", why, action)


RULES: dict[str, Rule] = {
    # files
    "adapter_missing": _refuse(
        "There are no adapter weights.", "Send adapter_model.safetensors as PEFT saves it."
    ),
    "config_missing": _refuse(
        "Without adapter_config.json rank and alpha are unknown, so the update is too.",
        "Send adapter_config.json as PEFT saves it.",
    ),
    "empty_file": _refuse("The file holds no bytes.", "Send the file again."),
    "truncated_file": _refuse(
        "The file ends before its last tensor does.", "Send it again; compare sizes first."
    ),
    "pickle_file": _refuse(
        "A pickle runs code when it is read, so it is never opened.",
        'Convert it where you trust it: python -c "import torch; from safetensors.torch import'
        " save_file; save_file(torch.load('adapter_model.bin', weights_only=True),"
        " 'adapter_model.safetensors')\"",
    ),
    "gguf_file": _refuse("GGUF is not read.", "Send the PEFT adapter it was made from."),
    "npz_file": _refuse(".npz is not read.", "Send the adapter as PEFT safetensors."),
    "archive_refused": _refuse(
        "The archive is damaged, or built to write outside its folder or to grow without end.",
        "Pack adapter_model.safetensors and adapter_config.json again, as plain files.",
    ),
    "header_invalid": _refuse(
        "Two readers could understand this safetensors header differently.",
        "Save it again with safetensors.torch.save_file.",
    ),
    "duplicate_key": _refuse(
        "A name stands twice, so two readers may see two different adapters.",
        "Save the file again with its own library.",
    ),
    "side_file": _refuse(
        "Tokenizer and chat-template files can carry instructions; they are never passed on.",
        "Send adapter_model.safetensors and adapter_config.json only.",
    ),
    "unknown_file": _refuse(
        "Only the two files of a PEFT adapter are understood.",
        "Send adapter_model.safetensors and adapter_config.json only.",
    ),
    # config
    "config_invalid": _refuse(
        "adapter_config.json cannot be read as one JSON object.",
        "Send the file that PEFT's save_pretrained wrote.",
    ),
    "field_invalid": _refuse(
        "The field has a value that PEFT's LoraConfig does not have.",
        "Send the file that PEFT's save_pretrained wrote.",
    ),
    "field_unknown": _refuse(
        "A field that is not understood may change what the adapter does.",
        "Remove the field, or save the adapter with PEFT 0.21 or older.",
    ),
    "peft_type_unsupported": _refuse(
        "Only a LoRA is a product B·A that can be projected.", "Train a LoRA (peft_type LORA)."
    ),
    "modules_to_save": _refuse(
        "Full copies of modules are not low-rank and bypass the projection.", _PLAIN_LORA
    ),
    "bias_update": _refuse(
        "A bias update is one-dimensional and bypasses the projection.",
        'Train with bias="none" and lora_bias=False.',
    ),
    "dora": _refuse(
        "DoRA rescales rows of the base weight, which the projection does not see.",
        "Train with use_dora=False.",
    ),
    "base_rewriting_init": _refuse(
        "This initialisation rewrites the base weights when the adapter is loaded.",
        "Convert the adapter to a plain LoRA when saving"
        " (save_pretrained with path_initial_model_for_weight_conversion).",
    ),
    "layer_replication": _refuse(
        "It rebuilds the layer stack of the model.", "Train with layer_replication=None."
    ),
    "variant_unsupported": _refuse(
        "The field switches on a variant of LoRA that computes something else than W + s·B·A.",
        "Train a plain LoRA with this field at PEFT's default.",
    ),
    "target_parameters": _refuse(
        "Updates of raw parameters (fused experts) have no alignment matrix here.", _PLAIN_LORA
    ),
    "trainable_tokens": _refuse(
        "Changed token embeddings can carry trigger words.", "Train without new token embeddings."
    ),
    "pattern_not_literal": _refuse(
        "Pattern keys are regular expressions that readers run over module names;"
        " only a literal dotted name has one meaning.",
        "Write the pattern as dotted module names of letters, digits, _ and -.",
    ),
    "rank_invalid": _refuse("A rank is a whole number above 0.", "Send the config PEFT wrote."),
    "alpha_invalid": _refuse(
        "An alpha that is no number from 1e-5 to 1e5 makes no update that can be judged.",
        "Send the config PEFT wrote.",
    ),
    "rank_mismatch": _refuse(
        "Config and tensors give different ranks, so two readers would scale it differently.",
        "Send weights and config of the same training run.",
    ),
    "auto_mapping_import": _refuse(
        "auto_mapping names a class to import from outside transformers.",
        "Remove auto_mapping, or set task_type.",
    ),
    # tensors
    "no_lora_pairs": _refuse("The file holds no lora_A/lora_B pair.", "Send a trained adapter."),
    "base_overwrite": _refuse(_OVERWRITES, _PLAIN_LORA),
    "unknown_tensor": _refuse(_OVERWRITES, _PLAIN_LORA),
    "embedding_lora": _refuse(
        "A LoRA on embeddings can carry trigger words, and has no alignment matrix here.",
        _PLAIN_LORA,
    ),
    "router_lora": _refuse(
        "A LoRA on a router changes which experts run; it has no alignment matrix here.",
        "Train without the router (gate) in target_modules.",
    ),
    "unpaired_tensor": _refuse(
        "lora_A without lora_B, or the other way round, is no update.",
        "Send the whole adapter.",
    ),
    "duplicate_module": _refuse(
        "Two spellings name the same module, so two readers may load different tensors.",
        "Keep one: base_model.model.<module>.lora_A.weight.",
    ),
    "module_not_in_alignment": _refuse(
        "The alignment has no such module, so its update cannot be judged.",
        "Check that the adapter is for the model of this alignment.",
    ),
    "ambiguous_module": _refuse(
        "The name fits two modules of the alignment, with and without the base-model prefix.",
        "Use the module's full name.",
    ),
    "shape_mismatch": _refuse(
        "The factors do not fit the weight of the registered pair.",
        "Check that the adapter is for the model of this alignment.",
    ),
    "dtype_unsupported": _refuse(
        "Only F32, F16 and BF16 tensors can be projected.", "Save the adapter in one of these."
    ),
    "non_finite": _refuse(
        "NaN and infinities escape every comparison and spread at the first product.",
        "Train again, or send an earlier checkpoint.",
    ),
    "rank_over_cap": _refuse("The rank is above the policy's cap.", "Train with a lower rank."),
    "tensors_over_cap": _refuse(
        "More tensors than the policy's cap.", "Send one adapter, not several."
    ),
    "bytes_over_cap": _refuse(
        "More bytes than the policy's cap.", "Save in 16 bits or with a lower rank."
    ),
    # the mathematics
    "no_alignment_signal": _refuse(
        "Base and aligned model are equal in this module: there is nothing to project onto.",
        "Train without this module, or ask the operator about the registered pair.",
    ),
    "ill_conditioned": _refuse(
        "The factors cancel so far that the update is lost in rounding: what is served would"
        " depend on the reader's precision.",
        "Merge and factor the update again (SVD), or train anew.",
    ),
    "update_ratio_over_cap": _refuse(
        "An update this large next to the weight survives any projection.",
        "Train with a lower learning rate or alpha.",
    ),
    # notes
    "file_not_carried": Rule(
        "note", "Only the two canonical files are ever written.", "Nothing to do."
    ),
    "base_name_differs": Rule(
        "note",
        "The adapter names a base model that is not registered for this alignment.",
        "Check that the adapter is for the model of this alignment.",
    ),
    "auto_mapping_dropped": Rule(
        "note", "auto_mapping names a class to import; it is never imported.", "Nothing to do."
    ),
    "refactored": Rule(
        "note",
        "The factors cancelled, or 16 bits would not hold them: B·A was refactored in float64"
        " before it was judged and written.",
        "Nothing to do.",
    ),
    "projection_is_identity": Rule(
        "note",
        "The subspace spans the whole output space, so projecting changes nothing here.",
        "Choose a smaller rank or energy_share, or another method.",
    ),
}
