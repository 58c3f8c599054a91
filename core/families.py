"""Values by module family: a name's suffix, on dot boundaries."""

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")


def family_value(module: str, default: Value, families: Mapping[str, Value]) -> Value:
    """The value of the longest suffix that fits `module`, else `default`."""
    suffix, dot = module, "."
    while dot:
        if suffix in families:
            return families[suffix]
        _, dot, suffix = suffix.partition(".")
    return default
