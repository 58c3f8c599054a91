"""A gate's signing key over its life: made, replaced by another, retired.

The private half is a file of the workers', the public half a record in the object store. Each step
may be the last before the process dies, and the same command again goes on.
"""

import os
from pathlib import Path
from uuid import uuid4

from core.attestation.keys import SigningKey
from core.attestation.published import KeyRecord, PublishedKeys
from core.errors import Conflict
from core.store.files import sync_folder


def create_key(path: Path, published: PublishedKeys, now: str) -> KeyRecord:
    """Have a key at `path`, made if there is none, and publish it.

    Raises `Conflict` if the key there is retired, `SigningKeyUnusable`, `OSError` or `StoreError`.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(SigningKey.new(), path, replace=False)
    record = published.publish(SigningKey.load(path).public, now)
    if not record.trusted:
        raise Conflict(
            f"the key at {path} is retired since {record.retired_at}: rotate it",
            code="signing_key_retired",
        )
    return record


def rotate_key(path: Path, published: PublishedKeys, now: str) -> KeyRecord:
    """Put another key in the place of the one at `path`, whose private half is gone from then on.

    The new key is published before it can sign. What the old one signed still verifies, until that
    is retired. Raises `SigningKeyUnusable`, `OSError` or `StoreError`.
    """
    SigningKey.load(path)  # what is no key is not written over
    key = SigningKey.new()
    record = published.publish(key.public, now)
    _save(key, path, replace=True)
    return record


def retire_key(kid: str, path: Path | None, published: PublishedKeys, now: str) -> KeyRecord:
    """Have nothing count any more that key `kid` signed. It cannot be undone.

    Raises `Conflict` for the key at `path`, with which the workers would sign on; `NotFound`,
    `SigningKeyUnusable` or `StoreError`.
    """
    if path is not None and path.exists() and SigningKey.load(path).public.id == kid:
        raise Conflict(
            f"the key at {path} signs: rotate it first, then retire this one",
            code="signing_key_in_use",
        )
    return published.retire(kid, now)


def _save(key: SigningKey, path: Path, *, replace: bool) -> None:
    """The file is there whole or not at all; without `replace` one that came first stays."""
    fresh = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        key.write_new(fresh)
        if replace:
            fresh.replace(path)
        else:
            os.link(fresh, path)
    except FileExistsError:
        if replace:
            raise
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(path.parent)
