"""Policies, jobs and sizes in plain words."""

from collections.abc import Mapping
from typing import assert_never

from app.views import JobView
from core.findings import printable
from core.policy import Directions, Policy
from core.render.words import counted, selection_words

_LONGEST_NAME = 80
_SIDES = {
    "input": "that it reads",
    "output": "that it writes",
    "both": "that it reads and writes",
}


def policy_words(policy: Policy) -> list[str]:
    """A sentence for each thing that the policy decides, the defaults of the rest left out."""
    words = [f"Chosen: {selection_words(policy.selection)}."]
    if policy.publishes:
        words.append(method_words(policy))
    if policy.families:
        words.append(f"Of these names others: {_listed(policy.families)}.")
    if policy.strength != 1.0 and policy.publishes:
        words.append(f"Strength {policy.strength:g}, where 1 is the whole of it.")
    if policy.suspicious == "project":
        words.append("Modules with signs of an attack are projected too.")
    if policy.suspicious == "refuse":
        words.append("An adapter with signs of an attack is refused.")
    if policy.extras.default == "strip" or "strip" in policy.extras.codes.values():
        words.append("Some of what is no LoRA pair is left out, where it would be refused.")
    if not policy.loads_v:
        words.append("Judged by V's main directions alone, so there is no cosine.")
    if policy.reference:
        words.append("Decides as the authors' code does, to compare with it.")
    return words


def method_words(policy: Policy) -> str:
    """What is done to a module that is chosen."""
    match policy.method:
        case "safe_lora":
            return "A chosen module is projected onto the alignment (Safe LoRA)."
        case "zero":
            return "The update of a chosen module is taken out."
        case "subspace":
            return f"Of a chosen module only what lies in {_own_directions(policy)} stays."
        case "complement":
            side = _SIDES[policy.side or "both"]
            return f"Of a chosen module what lies in {_own_directions(policy)} {side} is taken out."
        case _:
            assert_never(policy.method)


def job_name(job: JobView) -> str:
    """What its poster calls it, else the end of its id."""
    label = job.metadata.get("label") or next(iter(job.metadata.values()), "")
    name = printable(label).strip() or job.id[-8:]
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"


def job_outcome(job: JobView) -> str:
    """What came of a job, in a few words; empty while nothing did."""
    if job.error is not None:
        return job.error.code
    if job.verdict == "rejected":
        return counted(job.findings_total, "finding")
    if job.summary is None:
        return ""
    s = job.summary
    left = "" if s.retained is None else f", {s.retained:.0%} of the norm left"
    if job.verdict == "scored":
        return f"{s.modules} modules scored"
    return f"{s.projected} of {s.modules} projected{left}"


def size_words(size: int) -> str:
    """Bytes as people read them."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def _own_directions(policy: Policy) -> str:
    return _directions(Directions(rank=policy.rank, energy_share=policy.energy_share))


def _directions(directions: Directions) -> str:
    if directions.rank is not None:
        return f"V's top {directions.rank} directions"
    return f"the directions that hold {100 * (directions.energy_share or 0):g}% of V"


def _listed(families: Mapping[str, Directions]) -> str:
    return ", ".join(f"{name}: {_directions(own)}" for name, own in families.items())
