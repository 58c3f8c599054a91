"""What a report says in sentences: its verdict, its policy, and what no report promises."""

from collections.abc import Mapping
from typing import Final

from core.findings import refusals
from core.policy import (
    All,
    Directions,
    Lowest,
    MethodName,
    Policy,
    Relative,
    ScoreOnly,
    Selection,
    Suspicion,
    Threshold,
)
from core.report import Report

LIMITS: Final = (
    "It reduces risk. It does not show the adapter to be harmless.",
    "The cosine is no detector: benign and attacking adapters score alike. It sees neither the sign"
    " nor the size of an update, and one along any single singular direction of V scores 1.",
    "A threshold does not carry over from one model to another: what is low for one is usual for"
    " the next.",
    "Projected by safe_lora, an update loses most of its norm (retained), so that tasks lose"
    " accuracy where many modules are chosen; what other methods leave is no proof of use either.",
    "The lowest cosines can be used up by decoys: modules made to score low. A threshold cannot.",
    "One adapter is judged at a time: two that are harmless apart may not be together.",
)
"""What no result promises, whatever its verdict; README.md says the same."""

_METHODS: Final[Mapping[MethodName, tuple[str, str]]] = {
    "safe_lora": (
        "B := V·(Vᵀ·B)/‖V‖_F, as in the paper",
        "were projected onto what alignment changed in the model",
    ),
    "subspace": (
        "B := U·Uᵀ·B, which keeps V's top output directions alone",
        "were cut down to the directions that alignment changed most",
    ),
    "complement": (
        "takes V's top directions out of the update",
        "had the directions that alignment changed most taken out",
    ),
    "zero": ("takes the update out", "were taken out"),
}
"""What each does to a chosen module, and what was done to several."""
_SUSPICIONS: Final[Mapping[Suspicion, str]] = {
    "report": "reported, and nothing else",
    "project": "the module is projected whatever its cosine",
    "refuse": "the adapter is refused",
}


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def verdict_words(report: Report) -> str:
    """What became of the adapter, for whoever has never seen a report."""
    summary = report.summary
    match report.verdict:
        case "rejected":
            stopping = counted(len(refusals(report.findings)), "finding")
            return f"The adapter was turned away, and nothing was published: {stopping} to mend."
        case "scored":
            return (
                "The adapter was scored and nothing else: the policy chooses no module, so none"
                " was changed and no adapter was published."
            )
        case "unchanged" if summary.projected:
            return (
                f"{counted(summary.projected, 'module')} of {summary.modules} would have been"
                " changed, but the policy's strength is 0: every update is as it came."
            )
        case "unchanged":
            return "The policy chose no module: every update is as it came."
        case "projected":
            return _projected(report)


def _projected(report: Report) -> str:
    summary, policy = report.summary, report.policy
    done = f"The updates of {summary.projected} of {counted(summary.modules, 'module')}"
    partly = "" if policy.strength == 1.0 else f", with strength {policy.strength:g}"
    left = (
        ""
        if summary.retained is None
        else f" {summary.retained:.1%} of the whole update's norm is left."
    )
    return (
        f"{done} {_METHODS[policy.method][1]}{partly}.{left} That reduces risk; it does not show"
        " the adapter to be harmless."
    )


def sign_words(report: Report) -> str:
    """That there are signs of an attack, or "" where there are none."""
    count = sum(found.severity == "suspicious" for found in report.findings)
    if not count:
        return ""
    seen = "1 sign of an attack was" if count == 1 else f"{count} signs of an attack were"
    return f"{seen} found: look at what the adapter was trained on before it is used."


def side_changes(report: Report) -> list[str]:
    """What else is not as it came."""
    summary, rows = report.summary, report.modules
    counts = (
        (summary.zero_updates, "update", "zero, and changes nothing in the model"),
        (sum(row.refactored for row in rows), "module", "written with new factors of its product"),
        (sum(row.widened for row in rows), "module", "stored in float32, which loses less"),
        (summary.stripped, "finding", "stripped: what it names was left out"),
    )
    return [
        f"{counted(count, noun)} {'is' if count == 1 else 'are'} {what}."
        for count, noun, what in counts
        if count
    ]


def selection_words(selection: Selection) -> str:
    """Which modules are chosen."""
    match selection:
        case Threshold():
            return f"cosine below {selection.threshold:g}{_own(selection.families)}"
        case Relative():
            return (
                f"cosine below {selection.ratio:g}{_own(selection.families)} times the module's"
                " baseline"
            )
        case Lowest(count=None):
            return f"the lowest cosines, {selection.share:.4g} of all modules"
        case Lowest():
            return f"the {selection.count} lowest cosines"
        case All():
            return "every module"
        case ScoreOnly():
            return "no module: the adapter is only scored"


def policy_words(policy: Policy) -> list[tuple[str, str]]:
    """The policy as terms and what each is here."""
    lines = [
        ("method", f"{policy.method}: {_METHODS[policy.method][0]}"),
        ("selection", f"{policy.selection.mode}: {selection_words(policy.selection)}"),
    ]
    if policy.rank is not None or policy.energy_share is not None:
        own = Directions(rank=policy.rank, energy_share=policy.energy_share)
        families = {name: _directions(own) for name, own in policy.families.items()}
        side = f" on the side {policy.side}" if policy.side else ""
        lines.append(("directions", f"{_directions(own)}{side}{_own(families)}"))
    return [
        *lines,
        ("strength", f"{policy.strength:g}"),
        ("scores", "all" if policy.loads_v else "spectrum: no V, hence no cosine"),
        *([("reference", "decided as the authors' code does")] if policy.reference else []),
        ("signs of an attack", _SUSPICIONS[policy.suspicious]),
        ("what is no LoRA pair", f"{policy.extras.default}{_own(policy.extras.codes)}"),
        ("caps", ", ".join(f"{name} {value:,}" for name, value in _caps(policy).items())),
    ]


def _directions(directions: Directions) -> str:
    if directions.rank is not None:
        return f"the top {directions.rank}"
    return f"as many as hold {directions.energy_share:.4g} of ‖V‖²"


def _own(values: Mapping[str, object]) -> str:
    """What has a value of its own, in brackets."""
    shown = ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )
    return f" ({shown})" if shown else ""


def _caps(policy: Policy) -> dict[str, float]:
    caps: dict[str, float] = policy.caps.model_dump()
    return caps
