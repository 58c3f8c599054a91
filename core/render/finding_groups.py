"""Findings with one code as one: why it matters and what to do is said once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

from core.findings import Finding, Outcome

FEW: Final = 5
MOST: Final = 200

_ORDER: Final[tuple[Outcome, ...]] = get_args(Outcome)


@dataclass(frozen=True)
class FindingGroup:
    """Findings of one code and outcome, in the report's order; `first` stands for what they share.

    The `few` are seen at once, `others` when asked for, and those past `MOST` are `not_shown`.
    """

    first: Finding
    few: Sequence[Finding]
    others: Sequence[Finding]
    not_shown: int

    @property
    def count(self) -> int:
        return len(self.few) + len(self.others) + self.not_shown


def finding_groups(findings: Sequence[Finding]) -> list[FindingGroup]:
    """What stops the adapter first."""
    found: dict[tuple[Outcome, str], list[Finding]] = {}
    for one in findings:
        found.setdefault((one.outcome, one.code), []).append(one)
    ranked = sorted(found.items(), key=lambda item: _ORDER.index(item[0][0]))
    return [_group(alike) for _, alike in ranked]


def _group(alike: Sequence[Finding]) -> FindingGroup:
    return FindingGroup(alike[0], alike[:FEW], alike[FEW:MOST], max(0, len(alike) - MOST))
