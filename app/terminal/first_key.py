"""The first API key of a stack of one's own: shown once, kept as its SHA-256."""

import json
import secrets
from pathlib import Path

from core.canonical import sha256_hex
from core.errors import GateError
from core.scopes import SCOPES

PREFIX = "slg_"


def known_keys(path: Path) -> list[object]:
    """The entries of `AccessSettings.keys` kept at `path`; none if there is no such file."""
    if not path.exists():
        return []
    try:
        entries = json.loads(path.read_bytes())
    except ValueError:
        entries = None
    if not isinstance(entries, list):
        raise GateError(
            f"{path} is no list of keys: restore it, or remove it to start with a new key",
            code="keys_unreadable",
        )
    return entries


def new_key() -> tuple[str, dict[str, object]]:
    """A key with every scope, and the entry that stands for it in the settings."""
    key = PREFIX + secrets.token_urlsafe(32)
    return key, {
        "id": f"key-{secrets.token_hex(4)}",
        "sha256": sha256_hex(key.encode()),
        "tenant": "default",
        "scopes": list(SCOPES),
    }


def save_keys(path: Path, entries: list[object]) -> None:
    """Replace the file at `path`, which only its owner can read."""
    whole = path.with_suffix(".new")
    whole.touch(mode=0o600)
    whole.write_text(json.dumps(entries, indent=1))
    whole.replace(path)
