"""What is worth saying and changes nothing for the uploader."""

from core.findings.rule import Rule

_NOTHING = "Nothing to do."


def _note(why: str, action: str, example: str) -> Rule:
    return Rule("notes", "note", why, action, example)


NOTES = {
    "file_not_carried": _note(
        "Only the two canonical files are ever written.", _NOTHING, "README.md"
    ),
    "base_name_differs": _note(
        "The adapter names a base model that is not registered for this alignment.",
        "Check that the adapter is for the model of this alignment.",
        "'C:\\\\models\\\\llama'; registered: meta-llama/Llama-3.1-8B-Instruct",
    ),
    "base_copy_dropped": _note(
        "The tensor is the aligned model's own weight, bit for bit, as PEFT saves it beside some"
        " layers; it is left out of what is written.",
        _NOTHING,
        "base_model.model.lm_head.base_layer.weight",
    ),
    "auto_mapping_dropped": _note(
        "auto_mapping names a class to import; it is never imported.",
        _NOTHING,
        '"auto_mapping": {"parent_library": "transformers.models.bert.modeling_bert", …}',
    ),
    "scale_by_pattern": _note(
        "rank_pattern or alpha_pattern give modules scales of their own, and some readers (vLLM)"
        " know one scale for all. The size of each update was held against the cap at the larger"
        " of the two.",
        "Serve with PEFT, or train with one rank and one alpha.",
        "12 of 64 modules",
    ),
    "converted_from_mlx": _note(
        "The adapter is written as PEFT has it: A = lora_aᵀ, B = lora_bᵀ, alpha = scale · rank.",
        _NOTHING,
        "adapters.safetensors of mlx-lm",
    ),
    "refactored": _note(
        "The factors cancelled, or 16 bits would not hold them: B·A was refactored in float64"
        " before it was judged and written.",
        _NOTHING,
        "B entries of 1e-9 beside A entries of 1e6",
    ),
    "projection_is_identity": _note(
        "The subspace spans the whole output space, so projecting changes nothing here.",
        "Choose a smaller rank or energy_share, or another method.",
        "subspace with energy_share 1.0 on a module of 64 outputs",
    ),
    "below_floor": _note(
        "The policy is weaker than the alignment's floor was when the job was posted, in the fields"
        " named. The scope policy:override let it pass.",
        "If that was not meant, post the adapter again without these fields.",
        "selection, caps.rank",
    ),
    "scored_without_v": _note(
        "The policy has adapters scored from V's stored singular directions; V was not loaded."
        " So cosine, signed and undo are missing, and that an update takes V back would not be seen"
        " (alignment_undone).",
        'Nothing to do; with "scores": "all" in the policy they are computed.',
        '"scores": "spectrum"',
    ),
}
