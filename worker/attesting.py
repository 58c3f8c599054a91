"""The worker's signature on what it publishes. On any doubt about the key nothing is published."""

import logging
from collections.abc import Sequence
from pathlib import Path

from core.attestation.envelope import open_envelope, parse_envelope, seal
from core.attestation.key_set import KeySet
from core.attestation.keys import SigningKey, SigningKeyUnusable
from core.attestation.published import PublishedKeys
from core.attestation.refused import NotVerified
from core.attestation.statement import make_statement
from core.errors import EngineError, StoreError
from core.report import FileFacts, Report
from core.settings import AttestationSettings
from core.store.base import ObjectExists, ObjectMissing, ObjectStore
from core.store.layout import ATTESTATION

_log = logging.getLogger(__name__)


class KeyNotPublished(SigningKeyUnusable):
    """Nobody could verify what the key signs."""

    code = "signing_key_unpublished"


def check_key(settings: AttestationSettings, store: ObjectStore) -> None:
    """Say in the log what will be signed with. Raises `SigningKeyUnusable`.

    A store that is away holds up no start: the key is looked up again for each result.
    """
    if settings.key is None:
        _log.warning("SAFELORA_ATTESTATION__KEY is not set: results are not attested")
        return
    key = SigningKey.load(settings.key)
    try:
        _check_published(key, store)
    except KeyNotPublished:
        raise
    except StoreError as error:
        _log.warning("whether key %s is published is not known yet: %s", key.public.id, error)
    _log.info("results are attested with key %s", key.public.id)


def attest(
    settings: AttestationSettings,
    store: ObjectStore,
    report: Report,
    files: Sequence[FileFacts],
    output: Path,
    *,
    recipe: str,
    place: str,
) -> str | None:
    """Sign what `report` and `files` say of the adapter in `output`: writes attestation.json there
    and stores it under `place`. Returns the id of the key.

    None, and nothing is done, for a report that published no adapter or a worker without a key.
    An attestation that another worker stored for the same output stands if it holds. Raises
    `EngineError` if the key cannot be used, and `StoreError`.
    """
    if settings.key is None or report.output is None:
        return None
    try:
        key = SigningKey.load(settings.key)
        _check_published(key, store)
    except SigningKeyUnusable as error:
        _log.error("nothing is published: %s", error)
        raise EngineError(
            "the gate cannot sign results at present, and publishes none unsigned: its operator"
            " finds why in the worker's log; retry the job later",
            code=error.code,
        ) from error
    statement = make_statement(report, files, recipe=recipe)
    signed = seal(statement, key).as_bytes()
    kid = key.public.id
    try:
        store.put(place, signed, if_absent=True)
    except ObjectExists:
        standing = _standing(store, place, statement)
        if standing is None:
            store.put(place, signed)
        else:
            signed, kid = standing
    (output / ATTESTATION).write_bytes(signed)
    return kid


def attest_offline(key: SigningKey, report: Report, files: Sequence[FileFacts]) -> bytes:
    """attestation.json of an adapter that no service handled: it names no recipe."""
    return seal(make_statement(report, files, recipe=None), key).as_bytes()


def _standing(store: ObjectStore, place: str, statement: bytes) -> tuple[bytes, str] | None:
    """What lies there and the id of its key, if that is trusted and has signed this statement."""
    try:
        data = store.get(place)
    except ObjectMissing:
        return None
    published = PublishedKeys(store)
    trusted = {record.kid: record.key for record in published.all() if record.trusted}
    try:
        payload, kid = open_envelope(parse_envelope(data), KeySet(trusted))
    except NotVerified as error:
        _log.warning("the attestation at %s is replaced: %s", place, error)
        return None
    return (data, kid) if payload == statement else None


def _check_published(key: SigningKey, store: ObjectStore) -> None:
    kid = key.public.id
    record = PublishedKeys(store).find(kid)
    if record is None:
        raise KeyNotPublished(
            f"the public half of signing key {kid} is not in the object store, so nobody could"
            " verify what it signs: run safelora-gate signing-keys create with the same settings"
        )
    if not record.trusted:
        raise KeyNotPublished(
            f"signing key {kid} is retired since {record.retired_at}: run safelora-gate"
            " signing-keys rotate",
            code="signing_key_retired",
        )
