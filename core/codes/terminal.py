"""What the client and the commands of the terminal say, beside what the gate answers them."""

from core.codes.code import Code, code

CLIENT: dict[str, Code] = {
    "arguments": code("The arguments do not fit together.", "See the message, or `--help`."),
    "gate_unreachable": code("Nothing answers, or not for long enough.", "Check URL and gate."),
    "gate_error": code("The gate is not spoken to as it should be.", "See the message."),
    "request_refused": code("The gate does not take the request.", "Mend what the message names."),
    "gate_failed": code("The gate could not do its part.", "Look into its log."),
    "no_gate": code("Something else than a gate answers there.", "Check the URL."),
    "too_late": code("The time given is up; what was waited for goes on.", "Wait for it again."),
    "events_cut": code("The stream of events was cut.", "Follow the job again."),
    "file_changed": code("A file changed while it was sent.", "Send it again once it is whole."),
    "build_failed": code("The alignment was not built.", "See the message."),
    "redirect_refused": code(
        "A download was sent on to a place that is not followed to.", "Tell the gate's operator."
    ),
    "store_refused": code("The object store refused a download.", "Ask for it again."),
    "download_damaged": code(
        "What came is not what the report says; nothing of it was kept.", "Download it again."
    ),
    "digest_unknown": code("The report does not say what to expect.", "Tell the gate's operator."),
    "name_refused": code(
        "The report names a file in a way that leads elsewhere.", "Tell the gate's operator."
    ),
}
TERMINAL: dict[str, Code] = {
    "adapter_given_twice": code(
        "One adapter is among the benign and the hostile ones.", "Give each once."
    ),
    "adapter_not_scored": code("A job that scores an adapter failed.", "Start the command again."),
    "not_recommended": code(
        "`calibrate --write` has no setting that it can recommend: nothing was changed.",
        "Read the table, try another method, or `--force` it.",
    ),
    "stack_failed": code(
        "A part that `up` started ended, or did not get ready.", "See the end of its log."
    ),
    "port_unavailable": code(
        "The machine does not let `up` or `serve` listen there.",
        "Stop what listens there, or give another `--port`.",
    ),
    "keys_unreadable": code("The file of keys is no JSON.", "Restore or remove it."),
    "not_verified": code(
        "What is in the folder is not what a gate attested, or the gate did not do enough.",
        "See the code of each problem in docs/provenance.md.",
    ),
    "bundle_not_made": code("No model-signing bundle was made.", "See the message."),
    "keys_unusable": code("`--keys` names no usable set of keys.", "Fetch it from the gate anew."),
    "keys_unreachable": code("The keys cannot be had.", "Check the URL, or give a file."),
    "signing_key_in_use": code("The key to be retired still signs.", "Rotate it first."),
    "signing_key_unknown": code("No signing key has this id.", "See `signing-keys list`."),
    "settings_invalid": code("A setting is wrong.", "Mend the variables that are named."),
    "report_unreadable": code(
        "A file is no report, or that of another version.",
        "Give a report.json, or the folder that holds one.",
    ),
    "policy_unreadable": code("`--policy` is neither JSON nor a file.", "Give one of them."),
}
