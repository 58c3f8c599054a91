"""The keys that callers have, and the one that results are signed with."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from app.doctor.check import Check, failed, ok, warning
from core.attestation.keys import SigningKey, SigningKeyUnusable
from core.attestation.published import PublishedKeys
from core.keys import KeyRecord, Keys
from core.scopes import ALIGNMENTS
from core.settings import Settings
from core.store.base import ObjectStore

SOON = timedelta(days=14)


def key_checks(settings: Settings, store: ObjectStore) -> Iterator[Check]:
    """Raises `StoreError`."""
    name, at = "api keys", datetime.now(UTC)
    records, unreadable = Keys(store).all()
    for error in unreadable:
        yield failed(name, error.message, "restore the record, or revoke the key by its id")
    active = [record for record in records if record.state(at) == "active"]
    given = settings.access.keys
    if not records and not given:
        do = "safelora-gate keys create, before anyone else is to be served"
        yield warning(name, "none: only this machine is served", do)
        return
    found = f"{len(given)} of the settings, {len(active)} of {len(records)} in the store are good"
    if not given and not active:
        yield failed(name, f"{found}: nobody can call", "safelora-gate keys create")
        return
    if not any(ALIGNMENTS in scopes for scopes in _scopes(settings, active)):
        do = "safelora-gate keys create --scope alignments, for the operator"
        yield warning(name, f"{found}, and none may register alignments", do)
    else:
        yield ok(name, found)
    for record in active:
        if _ends_soon(record, at):
            found = f"{record.id} of tenant {record.tenant} is good until {record.expires_at}"
            yield warning("api key", found, f"safelora-gate keys rotate {record.id}")


def _scopes(settings: Settings, active: list[KeyRecord]) -> Iterator[set[str]]:
    yield from (set(key.scopes) for key in settings.access.keys)
    yield from (set(record.scopes) for record in active)


def _ends_soon(record: KeyRecord, at: datetime) -> bool:
    """One that another has taken the place of may end."""
    if record.expires_at is None or record.replaced_by is not None:
        return False
    return datetime.fromisoformat(record.expires_at) - at < SOON


def signing_checks(settings: Settings, store: ObjectStore) -> Iterator[Check]:
    """Raises `StoreError`."""
    name, path, published = "signing key", settings.attestation.key, PublishedKeys(store)
    if path is None:
        if published.any_trusted():
            yield ok(name, "none set here; the workers need it, and keys are published")
        else:
            do = "safelora-gate signing-keys create, and SAFELORA_ATTESTATION__KEY for the workers"
            yield warning(name, "none: results are not attested", do)
        return
    try:
        kid = SigningKey.load(path).public.id
    except SigningKeyUnusable as error:
        yield failed(name, error.message, "restore it, or safelora-gate signing-keys create")
        return
    record = published.find(kid)
    if record is None:
        yield failed(name, f"{kid} is not published", "safelora-gate signing-keys create")
    elif not record.trusted:
        found = f"{kid} is retired since {record.retired_at}"
        yield failed(name, found, "safelora-gate signing-keys rotate")
    elif path.stat().st_mode & 0o077:
        yield warning(name, f"others may read {path}", f"chmod 600 {path}, then rotate the key")
    else:
        yield ok(name, f"{kid}, published {record.created_at}")
