"""The first API key of a stack of one's own: shown once, kept as its SHA-256."""

import json
import secrets
from pathlib import Path

from app.access import ALIGNMENTS, JOBS, POLICY_OVERRIDE
from core.canonical import sha256_hex

PREFIX = "slg_"


def known_keys(path: Path) -> list[object]:
    """The entries of `AccessSettings.keys` kept at `path`; none if there is no such file."""
    if not path.exists():
        return []
    entries: list[object] = json.loads(path.read_bytes())
    return entries


def add_key(path: Path) -> str:
    """Make a key with every scope, add its digest to the file at `path`, and return the key."""
    key = PREFIX + secrets.token_urlsafe(32)
    entry = {
        "id": f"key-{secrets.token_hex(4)}",
        "sha256": sha256_hex(key.encode()),
        "tenant": "default",
        "scopes": [JOBS, ALIGNMENTS, POLICY_OVERRIDE],
    }
    entries = json.dumps([*known_keys(path), entry], indent=1)
    whole = path.with_suffix(".new")
    whole.touch(mode=0o600)
    whole.write_text(entries)
    whole.replace(path)
    return key
