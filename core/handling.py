"""What a policy makes of findings: refused, stripped, projected, reported."""

from collections.abc import Iterable

from core.findings import Finding, Outcome
from core.policy import Policy, Suspicion
from core.store.layout import INPUT_FILES

_OF_SUSPICION: dict[Suspicion, Outcome] = {
    "report": "reported",
    "project": "projected",
    "refuse": "refused",
}


def under_policy(findings: Iterable[Finding], policy: Policy) -> list[Finding]:
    """Each finding with its outcome under the policy."""
    return [found.model_copy(update={"outcome": _outcome(found, policy)}) for found in findings]


def _outcome(found: Finding, policy: Policy) -> Outcome:
    if found.severity == "suspicious":
        outcome = _OF_SUSPICION[policy.suspicious]
        projects = policy.publishes and policy.strength > 0.0
        return "reported" if outcome == "projected" and not projects else outcome
    if found.severity == "refuse" and policy.extras.handling(found.code) == "strip":
        # The adapter's own files cannot be left out, whatever is wrong with them.
        is_its_own = found.kind == "file" and found.subject in INPUT_FILES
        return "refused" if is_its_own else "stripped"
    return found.outcome
