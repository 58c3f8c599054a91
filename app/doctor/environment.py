"""The settings, as far as they can be looked at without store and Redis."""

from collections.abc import Iterator

from app.doctor.check import Check, failed, ok
from app.hooks.sources import HookSources
from core.settings import Settings, SettingsInvalid


def settings_checks(settings: Settings) -> Iterator[Check]:
    try:
        HookSources(settings.hooks)
    except SettingsInvalid as error:
        yield from invalid_settings(error)
        return
    yield ok("settings", f"valid: store {settings.store.kind}, queue {settings.queue.name}")


def invalid_settings(error: SettingsInvalid) -> Iterator[Check]:
    for line in error.message.splitlines():
        yield failed("settings", line, "mend the variable: docs/settings.md has them all")
