"""Which values a config field may have."""

from collections.abc import Callable
from typing import Any

from core.alignments import is_model_name

ALPHA_LIMIT = 1e5
RANK_LIMIT = 2**31
SHOWN_CHARACTERS = 80

Accepts = Callable[[Any], bool]


def only(*allowed: Any) -> Accepts:
    """Exactly one of these values, of the same type (True is not 1)."""
    return lambda value: any(type(value) is type(a) and value == a for a in allowed)


def name_or_null(value: Any) -> bool:
    """It is shown in reports: no control characters, no flood."""
    return value is None or value == "" or (isinstance(value, str) and is_model_name(value))


def is_rank(value: Any) -> bool:
    return type(value) is int and 0 < value < RANK_LIMIT


def is_alpha(value: Any) -> bool:
    return type(value) in (int, float) and 1 / ALPHA_LIMIT <= value <= ALPHA_LIMIT


def shown(value: Any) -> str:
    """A value as a finding shows it: short, printable, one line."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
