"""What can be wrong with the files of an upload."""

from functools import partial

from core.findings.rule import refusing

_TWO_FILES = "Send adapter_model.safetensors and adapter_config.json only."
_refuse = partial(refusing, "files")

FILES = {
    "adapter_missing": _refuse(
        "There are no adapter weights.",
        "Send adapter_model.safetensors as PEFT saves it, or adapters.safetensors as MLX does.",
        "an archive that holds adapter_config.json alone",
    ),
    "config_missing": _refuse(
        "Without adapter_config.json rank and alpha are unknown, so the update is too.",
        "Send adapter_config.json as PEFT saves it.",
        "an archive that holds adapter_model.safetensors alone",
    ),
    "two_adapters": _refuse(
        "Two files of weights are two adapters: one reader takes this, another that.",
        "Send one of them.",
        "adapter_model.safetensors beside adapters.safetensors",
    ),
    "empty_file": _refuse(
        "The file holds no bytes.", "Send the file again.", "adapter_config.json of 0 bytes"
    ),
    "truncated_file": _refuse(
        "The file ends before its last tensor does.",
        "Send it again; compare sizes first.",
        "the tensors need 65664 bytes and the file has 40000",
    ),
    "pickle_file": _refuse(
        "A pickle runs code when it is read, so it is never opened.",
        'Convert it where you trust it: python -c "import torch; from safetensors.torch import'
        " save_file; save_file(torch.load('adapter_model.bin', weights_only=True),"
        " 'adapter_model.safetensors')\"",
        "adapter_model.bin, training_args.bin, optimizer.pt",
        strippable=True,
    ),
    "gguf_file": _refuse(
        "GGUF is not read.",
        "Send the PEFT adapter it was made from.",
        "adapter.gguf",
        strippable=True,
    ),
    "npz_file": _refuse(
        ".npz is not read.",
        "Send the adapter as safetensors: MLX has written adapters.safetensors since 2024.",
        "adapters.npz",
        strippable=True,
    ),
    "archive_refused": _refuse(
        "The archive is damaged, or built to write outside its folder or to grow without end.",
        "Pack adapter_model.safetensors and adapter_config.json again, as plain files.",
        "s3://bucket/adapter.tar.gz with a member named ../../etc/passwd",
    ),
    "header_invalid": _refuse(
        "Two readers could understand this safetensors header differently.",
        "Save it again with safetensors.torch.save_file.",
        "two tensors that share bytes, or a gap between two",
    ),
    "duplicate_key": _refuse(
        "A name stands twice, so two readers may see two different adapters.",
        "Save the file again with its own library.",
        '{"r": 8, "r": 256}',
    ),
    "side_file": _refuse(
        "Tokenizer and chat-template files can carry instructions; they are never passed on.",
        _TWO_FILES,
        "chat_template.jinja, tokenizer.json",
        strippable=True,
    ),
    "unknown_file": _refuse(
        "Only the two files of an adapter are understood.",
        _TWO_FILES,
        "trainer_state.json",
        strippable=True,
    ),
    "workers_lost": _refuse(
        "Every worker that took the job died with it in hand, so it is not given to another one.",
        "Look into the workers' and the kernel's log, for want of memory first; post it again once"
        " a worker can hold it.",
        "an adapter of 6 GB on a worker with 8 GB",
    ),
}
