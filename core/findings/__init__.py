"""The finding codes: what was found in an adapter, why it matters, and what the uploader can do."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from core.findings.config import CONFIG
from core.findings.files import FILES
from core.findings.notes import NOTES
from core.findings.rule import Group, Rule, Severity
from core.findings.signs import SIGNS
from core.findings.tensors import TENSORS
from core.findings.update import UPDATE
from core.model import Frozen

__all__ = [
    "RULES",
    "STRIPPABLE",
    "Finding",
    "Group",
    "Outcome",
    "Rule",
    "Severity",
    "beyond_stripping",
    "finding",
    "first_of_each",
    "printable",
    "refusals",
    "shown",
]

Kind = Literal["tensor", "field", "file", "module"]
Outcome = Literal["refused", "stripped", "projected", "reported", "noted"]

RULES: Final[Mapping[str, Rule]] = {**FILES, **CONFIG, **TENSORS, **UPDATE, **SIGNS, **NOTES}
STRIPPABLE: Final = frozenset(code for code, rule in RULES.items() if rule.strippable)
LONGEST_SHOWN = 500  # characters of a subject or detail

_BY_SEVERITY: Final[Mapping[Severity, Outcome]] = {
    "refuse": "refused",
    "suspicious": "reported",
    "note": "noted",
}
_ORDER: Final[tuple[Outcome, ...]] = ("refused", "stripped", "projected", "reported", "noted")


class Finding(Frozen):
    """One thing found: `kind` and `subject` name the tensor, config field, file or module.

    `severity` is the code's own; `outcome` what came of it under the policy: `refused` stops the
    adapter, `stripped` was left out, `projected` had the module projected whatever its cosine.
    """

    code: str
    severity: Severity
    outcome: Outcome
    kind: Kind
    subject: str
    detail: str
    why: str
    action: str


def finding(code: str, kind: Kind, subject: str, detail: str = "") -> Finding:
    """A finding of a known code. Raises KeyError for a code that is not in `RULES`.

    Names from an upload are made printable and cut here, so that no report, page, log or terminal
    gets them raw.
    """
    rule = RULES[code]
    return Finding(
        code=code,
        severity=rule.severity,
        outcome=_BY_SEVERITY[rule.severity],
        kind=kind,
        subject=shown(subject),
        detail=shown(detail),
        why=rule.why,
        action=rule.action,
    )


def printable(text: str) -> str:
    """Without control characters: a name must not move the cursor of whoever reads it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def shown(text: str) -> str:
    """As a finding has it: printable, and cut where it is long."""
    cut = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
    return printable(cut)


def refusals(findings: Iterable[Finding]) -> list[Finding]:
    """Those that stop the adapter."""
    return [f for f in findings if f.outcome == "refused"]


def beyond_stripping(findings: Iterable[Finding]) -> bool:
    """True if one of them stops the adapter under any policy."""
    return any(f.severity == "refuse" and f.code not in STRIPPABLE for f in findings)


def first_of_each(findings: list[Finding], limit: int) -> list[Finding]:
    """At most `limit`: refusals first, and then every code once before any code twice."""
    seen: Counter[str] = Counter()
    ranked = []
    for index, found in enumerate(findings):
        stops = found.outcome == "refused"
        ranked.append((not stops, seen[found.code], _ORDER.index(found.outcome), index))
        seen[found.code] += 1
    return [findings[index] for *_, index in sorted(ranked)[:limit]]
