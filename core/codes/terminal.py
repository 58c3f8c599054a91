"""What the commands of the terminal say, beside what the gate answers them."""

from core.codes.code import Code, code

TERMINAL: dict[str, Code] = {
    "order_refused": code("The gate does not take the request.", "Mend what the message names."),
    "gate_unreachable": code("Nothing answers as a gate does.", "Check `--url` and the gate."),
    "gate_failed": code("The gate could not do its part.", "Look into its log."),
    "no_gate": code("Something else than a gate answers there.", "Check `--url`."),
    "build_failed": code("The alignment was not built.", "See the message."),
    "adapter_given_twice": code(
        "One adapter is among the benign and the hostile ones.", "Give each once."
    ),
    "adapter_not_scored": code("A job that scores an adapter failed.", "Start the command again."),
    "stack_failed": code(
        "A part that `up` started ended, or did not get ready.", "See the end of its log."
    ),
    "keys_unreadable": code("The file of keys is no JSON.", "Restore or remove it."),
    "not_verified": code(
        "What is in the folder is not what a gate attested, or the gate did not do enough.",
        "See the code of each problem in docs/provenance.md.",
    ),
    "keys_unusable": code("`--keys` names no usable set of keys.", "Fetch it from the gate anew."),
    "keys_unreachable": code("The keys cannot be had.", "Check the URL, or give a file."),
    "signing_key_in_use": code("The key to be retired still signs.", "Rotate it first."),
    "signing_key_unknown": code("No signing key has this id.", "See `signing-keys list`."),
    "settings_invalid": code("A setting is wrong.", "Mend the variables that are named."),
    "arguments": code("The arguments do not fit together.", "See `--help`."),
    "policy_unreadable": code("`--policy` is neither JSON nor a file.", "Give one of them."),
}
