"""What one case of the catalogue says of itself."""

from dataclasses import dataclass
from typing import Any

from core.policy import Policy
from tests.hostile.making import CONFIG_FILE, Change, config, config_text


@dataclass(frozen=True)
class Attack:
    """`change` turns the honest upload into the attack, which must be refused with exactly the
    finding (`code`, `subject`), and with those in `also`."""

    name: str
    tries: str
    change: Change
    code: str
    subject: str
    also: tuple[tuple[str, str], ...] = ()
    policy: Policy | None = None

    @property
    def expected(self) -> list[tuple[str, str]]:
        return sorted([(self.code, self.subject), *self.also])


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
