"""What stands against a request that is well formed: alignments, policies, the state of a job."""

from core.codes.code import Code, code

ALIGNMENTS: dict[str, Code] = {
    "alignment_unknown": code(
        "No alignment has the name that was asked for; `registered` lists those there are.",
        "Name one of them.",
        422,
    ),
    "alignment_not_found": code(
        "404: there is no alignment of the name in the path. 422: no alignment was named, and none"
        " is for the `base_model_name_or_path` of the adapter's config.",
        "Name one that `GET /v1/alignments` lists.",
        404,
        422,
    ),
    "alignment_ambiguous": code(
        "Several alignments are for the adapter's base model; `fitting` lists them.",
        "Name one of them.",
        422,
    ),
    "alignment_not_ready": code(
        "The alignment is being built, or was not built; `state` says which.",
        "Wait until `GET /v1/alignments/{name}` says `ready`.",
        409,
    ),
    "alignment_exists": code(
        "The name stands for another pair, or for this one with other modules, base_names, dtype"
        " or rank.",
        "Choose another name, or delete the first.",
        409,
    ),
    "alignment_policies_differ": code(
        "The pair is registered under this name, with other policies.",
        "Change them by `PATCH`, or leave them out of the request.",
        409,
    ),
    "alignment_changed": code(
        "The name was registered anew while its policies were changed, or while adapters were"
        " calibrated.",
        "Look at it, and send the request again.",
        409,
    ),
    "alignment_removed": code(
        "The alignment of the earlier job is no longer there, or its name stands for another pair.",
        "Post the adapter again.",
        409,
    ),
}

POLICIES: dict[str, Code] = {
    "policy_invalid": code(
        "The policy is no JSON, or a field of it is wrong; `problems` names each.",
        "Mend the fields that are named.",
        422,
    ),
    "policy_below_floor": code(
        "The policy asks for less than the alignment's floor; `fields` names where.",
        "Leave those fields out, or use a key with the scope `policy:override`.",
        403,
    ),
    "default_below_floor": code(
        "`default_policy` is weaker than `floor`; `fields` names where.",
        "Raise the one or lower the other.",
        422,
    ),
    "alignment_rank_too_small": code(
        "The policy's method uses more singular directions than the alignment holds.",
        "Ask for a smaller `rank` or `energy_share`, or register the pair with a larger `rank`.",
        422,
    ),
    "alignment_not_float32": code(
        "`reference` needs an alignment in float32, and this one holds 16 bits.",
        'Register the pair under another name with `"dtype": "float32"`.',
        422,
    ),
}

JOBS: dict[str, Code] = {
    "job_not_found": code(
        "There is no such job, or it is another tenant's.", "See `GET /v1/jobs` for yours.", 404
    ),
    "job_not_finished": code(
        "The job has not ended, so there is no result yet.",
        "Wait with `GET /v1/jobs/{id}?wait=30`.",
        409,
    ),
    "job_rejected": code(
        "The adapter was rejected, so there is none to download; `findings` says why.",
        "Mend the adapter and post it again; the report is there.",
        409,
    ),
    "no_adapter": code(
        "The policy only scores, so no adapter was published.",
        "Post the adapter again with another `selection`.",
        409,
    ),
    "job_failed": code("The job failed, so there is no result.", "Retry it.", 409),
    "job_cancelled": code(
        "The job was cancelled, so there is no result.", "Retry it, or post it again.", 409
    ),
    "job_ended": code("The job to be cancelled has ended; `state` says how.", "Nothing.", 409),
    "job_not_ended": code("The job to be removed has not ended.", "Cancel it first, or wait.", 409),
    "job_not_retryable": code(
        "The job did not fail and was not cancelled; `state` says what it is.",
        "Post the adapter again for another result.",
        409,
    ),
    "input_expired": code(
        "The input of the job to be done again is no longer kept.", "Post the adapter again.", 410
    ),
    "result_expired": code("The result is no longer kept.", "Post the adapter again.", 410),
    "no_scores": code(
        "The adapter was rejected before it was scored, so there is nothing to choose by.",
        "See the job's findings.",
        409,
    ),
    "report_outdated": code(
        "The report is of another version of the gate.",
        "Download it as it is, or post the adapter again.",
        409,
    ),
    "file_not_found": code(
        "The adapter has no file of this name.",
        "Ask for adapter_model.safetensors or adapter_config.json.",
        404,
    ),
    "not_attested": code(
        "The result carries no attestation: the worker had no key to sign with.",
        "Have the operator make one (docs/provenance.md), and post the adapter again.",
        404,
    ),
}
