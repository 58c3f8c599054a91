"""rank_pattern and alpha_pattern without ever compiling what an uploader wrote.

PEFT runs each key as a regular expression over module names: `re.match(r"(.*\\.)?(KEY)$", name)`,
first match wins. A key that is a literal dotted name has the same meaning read as plain text,
except that its dots match any character; where that would make a difference it is refused too.
"""

import re
from collections.abc import Iterable, Mapping

LITERAL = re.compile(r"\^?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")


def is_literal(key: str) -> bool:
    """A dotted name of letters, digits, `_` and `-`, with an optional leading `^`."""
    return LITERAL.match(key) is not None


def is_unambiguous(key: str, modules: Iterable[str]) -> bool:
    """True if the key, read as PEFT reads it, picks the same modules as read literally."""
    return all(matches(key, m) == _matches_as_regex(key, m) for m in modules)


def matches(key: str, module: str) -> bool:
    """Literally: the module's whole name, or (without `^`) a suffix of it on a dot boundary."""
    if key.startswith("^"):
        return module == key[1:]
    return module == key or module.endswith(f".{key}")


def value_for(module: str, patterns: Mapping[str, float], default: float) -> float:
    """The value of the first pattern that fits, else `default`."""
    return next((value for key, value in patterns.items() if matches(key, module)), default)


def _matches_as_regex(key: str, module: str) -> bool:
    """What `re.match` would say of a literal key, its dots standing for any character."""
    anchored, text = key.startswith("^"), key.removeprefix("^")
    if len(module) < len(text):
        return False
    head, tail = module[: len(module) - len(text)], module[len(module) - len(text) :]
    if head and (anchored or not head.endswith(".")):
        return False
    return all(k in (".", c) for k, c in zip(text, tail, strict=True))
