"""Secrets of tenants, and the signatures made with them (Standard Webhooks 1.0, symmetric).

The store holds the secrets in the clear, for each delivery is signed with them: it must be private
to the service. Each secret is an object of its own that never changes, so that two rotations at
once lose neither.
"""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field, ValidationError

from core.canonical import Json, pretty_json
from core.errors import RecordUnreadable
from core.model import Frozen
from core.store import layout
from core.store.base import ObjectMissing, ObjectStore

PREFIX: Final = "whsec_"
MOST: Final = 5  # secrets that sign at a time
_BYTES = 32


class Secret(Frozen):
    """`secret` as the tenant has it. Those before it sign until `overlap_ms` after `made_ms`."""

    secret: Annotated[str, Field(pattern=r"^whsec_[A-Za-z0-9+/]{43}=$", repr=False)]
    made_ms: int
    overlap_ms: int

    @property
    def key(self) -> bytes:
        return base64.b64decode(self.secret.removeprefix(PREFIX), validate=True)


class Secrets:
    """One tenant's. All methods may raise `StoreError`."""

    def __init__(self, store: ObjectStore, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    def exist(self) -> bool:
        return any(True for _ in self._store.list(layout.webhook_secrets(self._tenant), limit=1))

    def rotate(self, *, overlap_ms: int, now_ms: int | None = None) -> Secret:
        """Make a secret, and forget those that sign no more."""
        made_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        text = PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()
        made = Secret(secret=text, made_ms=made_ms, overlap_ms=overlap_ms)
        dumped: Json = made.model_dump(mode="json")
        key = layout.webhook_secret(self._tenant, f"{made_ms:015d}-{secrets.token_hex(8)}")
        self._store.put(key, pretty_json(dumped), if_absent=True)
        self._prune(made_ms)
        return made

    def signing(self, now_ms: int) -> list[Secret]:
        """Those that sign now, the newest first; empty if the tenant has none."""
        return [secret for _, secret, until in self._all() if until is None or now_ms < until][
            :MOST
        ]

    def previous_until(self, now_ms: int) -> int | None:
        """Until when (ms since 1970) an earlier secret signs too; None if none does."""
        ends = [until for _, _, until in self._all() if until is not None and now_ms < until]
        return max(ends, default=None)

    def _prune(self, now_ms: int) -> None:
        for place, (key, _, until) in enumerate(self._all()):
            if place >= MOST or (until is not None and until <= now_ms):
                self._store.delete(key)

    def _all(self) -> list[tuple[str, Secret, int | None]]:
        """Key, secret, and until when it signs, None for as long as it is the newest."""
        keys = sorted(self._store.list(layout.webhook_secrets(self._tenant)), reverse=True)
        found: list[tuple[str, Secret, int | None]] = []
        until: int | None = None
        for key in keys:
            secret = self._read(key)
            if secret is None:
                continue
            found.append((key, secret, until))
            ends = secret.made_ms + secret.overlap_ms
            until = ends if until is None else min(until, ends)
        return found

    def _read(self, key: str) -> Secret | None:
        try:
            return Secret.model_validate_json(self._store.get(key))
        except ObjectMissing:
            return None  # forgotten since it was listed
        except ValidationError:  # without its words: they could show the secret
            raise RecordUnreadable(
                f"{key} is no webhook secret of this version: remove it"
            ) from None


def sign(keys: Sequence[Secret], *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of one attempt; `timestamp` in seconds. A signature for each secret."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    made = [
        base64.b64encode(hmac.new(secret.key, signed, hashlib.sha256).digest()).decode()
        for secret in keys
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in made),
    }
