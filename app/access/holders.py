"""Whose a key is: of the settings, or of the store."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from app.access.callers import Caller
from app.access.failures import Failures
from app.access.keyring import Keyring
from core.errors import Unauthorized
from core.keys import KeyRecord, key_id
from core.settings.access import ApiKey
from core.store.base import ObjectStore

_NOBODYS: Final = "0" * 64  # compared with where there is no key of an id


@dataclass(frozen=True)
class Fingerprint:
    """What a key is known again by: its SHA-256 in hex, and its id where it is one of the store's.
    Nobody can send it in the key's place."""

    sha256: str
    id: str | None

    @classmethod
    def of(cls, token: str) -> "Fingerprint":
        return cls(hashlib.sha256(token.encode()).hexdigest(), key_id(token))


@dataclass(frozen=True)
class Held:
    """The caller of a known key, and why it is not good any more, where it is not."""

    caller: Caller
    lapsed: Unauthorized | None = None


class Holders:
    """For one event loop. What the store cannot say is an error (`StoreError`), never a guess."""

    def __init__(self, keys: Sequence[ApiKey], store: ObjectStore, failures: Failures) -> None:
        self._keys = keys
        self._keyring = Keyring(store)
        self._failures = failures

    async def exist(self) -> bool:
        """Whether there is any key."""
        return bool(self._keys) or await self._keyring.exist()

    async def holder(self, sent: Fingerprint, address: str | None) -> Held | None:
        """None if it is nobody's. Every key is compared, so that time tells nothing.

        `address`: where it came from; None of a session's, which only a good key can have begun.
        """
        fitting = [key for key in self._keys if hmac.compare_digest(sent.sha256, key.sha256)]
        if fitting:
            key = fitting[0]
            return Held(Caller(key.tenant, key.id, key.scopes))
        if sent.id is None:
            return None
        if address is not None and self._is_flooded(sent.id, address):
            return None  # without a look into the store: that is what a flood would cost
        record = await self._keyring.record(sent.id)
        right = hmac.compare_digest(sent.sha256, _NOBODYS if record is None else record.sha256)
        if record is None or not right:
            return None
        caller = Caller(record.tenant, record.id, frozenset(record.scopes))
        return Held(caller, _lapsed(record))

    def _is_flooded(self, key_id: str, address: str) -> bool:
        """By failures from there, of a key that this process has not seen yet."""
        return not self._keyring.has_seen(key_id) and bool(self._failures.seconds_to_wait(address))


def _lapsed(record: KeyRecord) -> Unauthorized | None:
    match record.state(datetime.now(UTC)):
        case "revoked":
            words = f"this key was revoked at {record.revoked_at}: use another one"
            return Unauthorized(words, code="key_revoked")
        case "expired":
            words = f"this key has expired at {record.expires_at}: use another one"
            return Unauthorized(words, code="key_expired")
        case _:
            return None
