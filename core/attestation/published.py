"""The public halves of a gate's signing keys, as its object store holds them."""

import contextlib
import re
from collections.abc import Iterator

from pydantic import ValidationError

from core.attestation.base64s import decode_url, encode_url
from core.attestation.key_set import jwk
from core.attestation.keys import KEY_ID_PATTERN, PublicKey
from core.canonical import Json, pretty_json
from core.errors import Conflict, NotFound, RecordUnreadable
from core.model import Frozen
from core.store import layout
from core.store.base import ObjectExists, ObjectMissing, ObjectStore


class KeyRecord(Frozen):
    """`x`: the key's bytes in URL-safe base64. `retired_at`: since when it is not to be trusted."""

    kid: str
    x: str
    created_at: str
    retired_at: str | None = None

    @property
    def trusted(self) -> bool:
        return self.retired_at is None

    @property
    def key(self) -> PublicKey:
        return PublicKey(decode_url(self.x))

    def as_jwk(self) -> dict[str, Json]:
        return jwk(self.key, created_at=self.created_at, retired_at=self.retired_at)


class PublishedKeys:
    """What the gate answers at /.well-known/safelora-gate/keys. All methods may raise
    `StoreError`; `RecordUnreadable` for a damaged record."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def publish(self, key: PublicKey, created_at: str) -> KeyRecord:
        """The first record of a key stands, and is returned: a retired one stays retired."""
        record = KeyRecord(kid=key.id, x=encode_url(key.raw), created_at=created_at)
        with contextlib.suppress(ObjectExists):
            self._store.put(_place(key.id), _as_bytes(record), if_absent=True)
        return self.find(key.id) or record

    def retire(self, kid: str, retired_at: str) -> KeyRecord:
        """For good. Raises `NotFound`; `Conflict` if it is retired already."""
        record = self.find(kid)
        if record is None:
            raise NotFound(f"no key {kid} is published: see them all", code="signing_key_unknown")
        if not record.trusted:
            raise Conflict(
                f"the key is retired since {record.retired_at}", code="signing_key_retired"
            )
        retired = record.model_copy(update={"retired_at": retired_at})
        self._store.put(_place(kid), _as_bytes(retired))
        return retired

    def find(self, kid: str) -> KeyRecord | None:
        if not re.fullmatch(KEY_ID_PATTERN, kid):
            return None
        try:
            return self._read(_place(kid))
        except ObjectMissing:
            return None

    def all(self) -> Iterator[KeyRecord]:
        """By id."""
        for key in self._store.list(layout.attestation_keys()):
            yield self._read(key)

    def is_trusted(self, kid: str) -> bool:
        record = self.find(kid)
        return record is not None and record.trusted

    def any_trusted(self) -> bool:
        """Whether there is a key that results may be signed with now."""
        return any(record.trusted for record in self.all())

    def as_json(self) -> dict[str, Json]:
        """The JSON Web Key Set."""
        records = sorted(self.all(), key=lambda record: (record.created_at, record.kid))
        return {
            "keys": [record.as_jwk() for record in records if record.trusted],
            "retired": [record.as_jwk() for record in records if not record.trusted],
        }

    def _read(self, place: str) -> KeyRecord:
        try:
            record = KeyRecord.model_validate_json(self._store.get(place))
            whole = place == _place(record.key.id) == _place(record.kid)
        except (ValidationError, ValueError) as error:
            raise RecordUnreadable(
                f"{place} is no public key of this version: restore it"
            ) from error
        if not whole:
            raise RecordUnreadable(f"{place} holds another key than its name says: restore it")
        return record


def _place(kid: str) -> str:
    return layout.attestation_key(kid)


def _as_bytes(record: KeyRecord) -> bytes:
    dumped: Json = record.model_dump(mode="json")
    return pretty_json(dumped)
