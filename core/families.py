"""Values by module family: a name's suffix, on dot boundaries."""

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")


def family_value(module: str, default: Value, families: Mapping[str, Value]) -> Value:
    """The value of the longest suffix that fits `module`, else `default`."""
    fitting = [s for s in families if module == s or module.endswith(f".{s}")]
    return families[max(fitting, key=len)] if fitting else default
