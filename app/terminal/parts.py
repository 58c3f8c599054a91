"""`safelora-gate serve`, `worker` and `courier`: one part each, for a supervisor to start."""

import os
import sys
from typing import NoReturn

from app.access.loopback import is_loopback
from app.terminal.output import AsJson, fail, print_json, settings_wrong, wrong
from app.terminal.ports import Host, Port, PortUnavailable, check_port
from core.errors import StoreError
from core.keys import Keys
from core.report import ENGINE_NAME, ENGINE_VERSION
from core.settings import Settings, SettingsInvalid, load_settings
from core.store import open_store


def serve(host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Start the HTTP API alone, with the settings of the environment (SAFELORA_…)."""
    from app.serving import run

    try:
        settings = load_settings()
    except SettingsInvalid as error:
        settings_wrong(error)
    if not is_loopback(host) and not _has_keys(settings):
        wrong(
            f"there are no keys, so {host} is not listened on: make one with `safelora-gate keys"
            " create`, set SAFELORA_ACCESS__KEYS, or listen on 127.0.0.1"
        )
    try:
        check_port(host, port)
        run(settings, host, port)
    except PortUnavailable as error:
        fail(error)
    except SettingsInvalid as error:
        settings_wrong(error)


def worker() -> None:
    """Start one worker, with the settings of the environment (SAFELORA_…)."""
    become("worker", "run")


def courier() -> None:
    """Start the courier, with the settings of the environment (SAFELORA_…)."""
    become("worker", "courier")


def version(json: AsJson = False) -> None:
    """Print the version."""
    if json:
        print_json({"name": ENGINE_NAME, "engine": ENGINE_VERSION})
    else:
        sys.stdout.write(f"{ENGINE_NAME} {ENGINE_VERSION}\n")


def become(module: str, *arguments: str) -> NoReturn:
    """The worker is another package with other needs (torch): start it, import nothing of it."""
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606


def _has_keys(settings: Settings) -> bool:
    """In the settings or in the store; if that cannot be asked the command ends."""
    if settings.access.keys:
        return True
    store = open_store(settings.store)
    try:
        return Keys(store).exist()
    except StoreError as error:
        fail(error)
    finally:
        store.close()
