"""What one case of the catalogue says of itself."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from core.policy import Policy
from core.store.layout import INPUT_FILES
from tests.hostile.making import CONFIG_FILE, Change, Upload, config, config_text, honest


@dataclass(frozen=True)
class Attack:
    """`change` turns the honest upload into the attack, which must be refused with exactly the
    finding (`code`, `subject`), and with those in `also`.

    `no_pairs`: of what is left once all of that is stripped, nothing is an adapter.
    """

    name: str
    tries: str
    change: Change
    code: str
    subject: str
    also: tuple[tuple[str, str], ...] = ()
    policy: Policy | None = None
    honest: Callable[[], Upload] = honest
    no_pairs: bool = False

    @property
    def upload(self) -> Upload:
        return self.change(self.honest())

    @property
    def expected(self) -> list[tuple[str, str]]:
        return sorted([(self.code, self.subject), *self.also])

    def left(self, stripped: Collection[str]) -> list[tuple[str, str]]:
        """What of `expected` still refuses it where these codes are stripped."""
        return [
            (code, subject)
            for code, subject in self.expected
            if code not in stripped or subject in INPUT_FILES
        ]


def field_attacks(code: str, tries: str, *values: tuple[str, Any]) -> list[Attack]:
    """One attack for each (config field, value), refused with the same code under that field."""
    return [
        Attack(f"{name} {value!r:.50}", tries, config(**{name: value}), code, name)
        for name, value in values
    ]


def not_json(tries: str, *values: tuple[str, str]) -> list[Attack]:
    """One attack for each (config field, text of its value) that makes the config no JSON."""
    return [
        Attack(f"{name} {text:.30}", tries, config_text(name, text), "config_invalid", CONFIG_FILE)
        for name, text in values
    ]
