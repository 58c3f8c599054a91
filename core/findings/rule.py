"""What one finding code stands for."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["refuse", "suspicious", "note"]
Group = Literal["files", "config", "tensors", "update", "signs", "notes"]


@dataclass(frozen=True)
class Rule:
    """The code is stable; the words may get better.

    `why` it matters, `action` the uploader can take, `example` what was found for instance.
    `strippable`: what was found can be left out, and what is left is a plain LoRA.
    """

    group: Group
    severity: Severity
    why: str
    action: str
    example: str
    strippable: bool = False


def refusing(
    group: Group, why: str, action: str, example: str, *, strippable: bool = False
) -> Rule:
    """A rule of severity `refuse`."""
    return Rule(group, "refuse", why, action, example, strippable)
