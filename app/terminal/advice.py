"""What to do, in a terminal, about what a gate says over HTTP."""

from typing import Final

from safelora import GateError

_ANOTHER_KEY: Final = (
    "Set SAFELORA_KEY, or --key, to a key of this gate. `safelora-gate up` prints one at its first"
    " start, and another with --new-key; `safelora-gate keys create` makes them on the gate's"
    " machine."
)
_NAMES: Final = (
    'To see their names: curl -H "Authorization: Bearer $SAFELORA_KEY" {url}/v1/alignments. To'
    " make one: safelora-gate align NAME --base … --aligned …"
)
_ADVICE: Final = {
    "unauthorized": _ANOTHER_KEY,
    "key_expired": _ANOTHER_KEY,
    "key_revoked": _ANOTHER_KEY,
    "scope_missing": "`safelora-gate keys create --scope …` makes one on the gate's machine.",
    "gate_unreachable": (
        "It was looked for at {url}: name another with --url or SAFELORA_URL, or start one with"
        " `safelora-gate up`."
    ),
    "not_found": "It was looked for at {url}: an address of a gate has no path.",
    "no_gate": "It was looked for at {url}: name another with --url or SAFELORA_URL.",
    "job_not_found": "`safelora-gate jobs list` has those of your key's tenant.",
    "alignment_not_found": _NAMES,
    "alignment_not_ready": "`safelora-gate align`, with the same arguments again, waits for it.",
    "source_not_allowed": "Under `safelora-gate up`, start it with --checkpoints FOLDER.",
}


def advice(error: GateError, url: str) -> str:
    """Empty where the gate's own words are enough."""
    for member in ("registered", "fitting"):
        if names := error.problem.get(member):
            return f"With --alignment: {', '.join(names)}"
    return _ADVICE.get(error.code, _NAMES if "registered" in error.problem else "").format(url=url)
