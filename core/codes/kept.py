"""What a job's or an alignment's `error.code` says. Those of answers can be met here too."""

from core.codes.code import Code, code

_LOGS = "Look into the workers' logs, then retry the job."

RUNS: dict[str, Code] = {
    "signing_key_unusable": code(
        "The key that results are signed with cannot be read, so nothing is published.",
        "Mend the file that `SAFELORA_ATTESTATION__KEY` names, then retry the job.",
    ),
    "signing_key_unpublished": code(
        "The public half of the key that results are signed with is not in the object store.",
        "Run `safelora-gate signing-keys create` with the same settings, then retry the job.",
    ),
    "signing_key_retired": code(
        "The key that results are signed with is retired.",
        "Run `safelora-gate signing-keys rotate`, then retry the job.",
    ),
    "attempts_exhausted": code("No attempt came to an end.", _LOGS),
    "workers_lost": code(
        "Each worker that took the job died with it in hand, for want of memory most likely.",
        "Look into the workers' logs and the kernel's, then retry the job.",
    ),
    "job_timeout": code(
        "The work took longer than the operator allows.",
        "Raise `SAFELORA_QUEUE__JOB_TIMEOUT`, or `SAFELORA_QUEUE__BUILD_TIMEOUT` for alignments.",
    ),
    "os_error": code("The worker's own disk failed it.", "Retry later."),
    "device_out_of_memory": code(
        "One module does not fit onto the worker's device.",
        "Give the worker a larger GPU, or `SAFELORA_WORKER__DEVICE=cpu`.",
    ),
    "input_missing": code("The stored input is gone.", "Post the adapter again."),
    "input_changed": code(
        "The stored input is not what was accepted.", "Post the adapter again; look at the store."
    ),
    "verification_failed": code(
        "What was written did not read back as it should, so nothing was published.", _LOGS
    ),
    "rejected_after_write": code(
        "An adapter was rejected when files were written already; they were thrown away.", _LOGS
    ),
    "alignment_missing": code("The alignment is gone from the store.", "Register the pair again."),
    "alignment_damaged": code(
        "A stored file of the alignment is not what its name says.", "Register the pair again."
    ),
    "alignment_unreadable": code(
        "The alignment's manifest cannot be read, or is of another version.",
        "Register the pair again.",
    ),
}

BUILDS: dict[str, Code] = {
    "pair_identical": code(
        "No module differs between the two checkpoints.", "Give two different checkpoints."
    ),
    "pair_architecture_differs": code(
        "The two checkpoints are of different model types.", "Give a model and its aligned sibling."
    ),
    "pair_shapes_differ": code(
        "A module has another shape in each.", "Give a model and its aligned sibling."
    ),
    "pair_without_modules": code(
        "The two have no linear module in common.", "Give a model and its aligned sibling."
    ),
    "module_not_in_pair": code(
        "`modules` names what no module is called.", "Name suffixes of modules of the pair."
    ),
    "checkpoint_missing": code(
        "A folder holds no checkpoint, or an index names a shard that is not there.",
        "Give the folder as the Hub delivers it.",
    ),
    "checkpoint_unreadable": code(
        "A file of a checkpoint is damaged.", "Copy or download the checkpoint again."
    ),
    "checkpoint_ambiguous": code(
        "A tensor lies in several shards.", "Keep the files of one checkpoint in the folder."
    ),
    "checkpoint_pickled": code(
        "The checkpoint is .bin, which can run code.", "Convert it with the command in `message`."
    ),
    "checkpoint_quantised": code("The checkpoint is quantised.", "Give the one it was made of."),
    "checkpoint_non_finite": code(
        "A weight is NaN or infinite.", "Give a checkpoint without such weights."
    ),
    "checkpoint_changed": code(
        "A file was replaced while it was read.", "Register the pair again when it stands still."
    ),
    "hub_not_installed": code(
        "`hf://` was asked for, and the worker lacks huggingface_hub.",
        "Install it beside the worker, or give a folder.",
    ),
}
