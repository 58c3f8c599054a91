"""The sources that events may come from."""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from starlette.datastructures import Headers

from app.access.callers import Caller
from app.hooks.bodies import EventBodies
from app.hooks.verify import Signed, Verifier, verifier
from core.errors import NotFound, Unauthorized
from core.scopes import JOBS
from core.settings import HookRule, SettingsInvalid


@dataclass(frozen=True)
class Source:
    """A source with its rule, and for whom its jobs are made."""

    name: str
    rule: HookRule

    @property
    def caller(self) -> Caller:
        return Caller(self.rule.tenant, f"hook:{self.name}", self.rule.scopes | {JOBS})


class HookSources:
    """Secrets are read once, here."""

    def __init__(self, rules: Mapping[str, HookRule]) -> None:
        """Raises `SettingsInvalid`, naming the source and the field."""
        self.bodies = EventBodies()
        self._known: dict[str, tuple[Source, Verifier]] = {}
        for name, rule in rules.items():
            try:
                self._known[name] = (Source(name, rule), verifier(rule))
            except ValueError as error:
                raise SettingsInvalid(f"SAFELORA_HOOKS__{name.upper()}: {error}") from error
        # A name that is none costs what a wrong signature does.
        key = secrets.token_bytes(32)
        self._decoy = Signed("webhook-id", "webhook-timestamp", "webhook-signature", [key])

    def check_any(self) -> None:
        """Raises `NotFound` (`hook_not_found`) if there are none, which is no secret: then nothing
        that is sent need be read."""
        if not self._known:
            raise _not_found()

    def find(self, name: str) -> Source | None:
        known = self._known.get(name)
        return known[0] if known else None

    def verify(self, name: str, headers: Headers, body: bytes, now: float) -> str | None:
        """The event's id, where its sender gives it one.

        Raises `Unauthorized` (`hook_signature_invalid`, `hook_timestamp_outside`) or `NotFound`
        (`hook_not_found`).
        """
        if name in self._known:
            return self._known[name][1](headers, body, now)
        with suppress(Unauthorized):
            self._decoy(headers, body, now)
        raise _not_found()


def _not_found() -> NotFound:
    return NotFound("there is no such source of events: see SAFELORA_HOOKS", code="hook_not_found")
