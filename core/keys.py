"""API keys as the object store holds them: a record a key, never the key itself.

A key is `slg_<id>_<secret>`, so that its record is found by its id. Its record lies under
`access/keys/`. That it was revoked is said by a mark of its own, put once and never taken away, so
that nothing written at the same time brings a revoked key back.
"""

import contextlib
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from core.canonical import Json, pretty_json, sha256_hex
from core.errors import RecordUnreadable, StoreError
from core.jobs import TENANT_PATTERN
from core.model import Frozen
from core.store import layout
from core.store.base import ObjectExists, ObjectMissing, ObjectStore

ID_PATTERN: Final = r"^[0-9a-f]{12}$"
_KEY = re.compile(r"slg_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_ATTEMPTS = 3  # two ids are the same once in 2^48

KeyState = Literal["active", "expired", "revoked"]


def _moment(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a time without its zone")
    return text


Moment = Annotated[str, AfterValidator(_moment)]


class KeyRecord(Frozen):
    """One key. `sha256` is the hex digest of the whole key; times are UTC, None is never;
    `replaced_by` is the id of the key that it was rotated to.

    It is good before `expires_at`, and no longer at it.
    """

    id: Annotated[str, Field(pattern=ID_PATTERN)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    tenant: Annotated[str, Field(pattern=TENANT_PATTERN)]
    scopes: list[str]
    created_at: Moment
    expires_at: Moment | None = None
    revoked_at: Moment | None = None
    replaced_by: Annotated[str, Field(pattern=ID_PATTERN)] | None = None

    def state(self, at: datetime) -> KeyState:
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and at >= datetime.fromisoformat(self.expires_at):
            return "expired"
        return "active"

    def as_bytes(self) -> bytes:
        dumped: Json = self.model_dump(mode="json")
        return pretty_json(dumped)


class _Revoked(Frozen):
    revoked_at: Moment


_Model = TypeVar("_Model", KeyRecord, _Revoked)


@dataclass(frozen=True)
class NewKey:
    """The key in full, which nothing keeps, and its record. Not to be logged."""

    text: str
    record: KeyRecord

    def __repr__(self) -> str:
        return f"NewKey({self.record.id})"


def key_id(text: str) -> str | None:
    """The id in a key of this form; None for any other text."""
    match = _KEY.fullmatch(text)
    return match and match.group(1)


class Keys:
    """The keys of one store. All methods may raise `StoreError`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def create(self, tenant: str, scopes: Sequence[str], lasts: timedelta | None) -> NewKey:
        """A new key, stored; good for as long as it `lasts`, None for ever."""
        at = datetime.now(UTC)
        for _ in range(_ATTEMPTS):
            new = _made(tenant, scopes, at, lasts)
            with contextlib.suppress(ObjectExists):
                record = new.record
                self._store.put(layout.access_key(record.id), record.as_bytes(), if_absent=True)
                return new
        raise StoreError("no free id for a key was found: try again")

    def get(self, key_id: str) -> KeyRecord | None:
        """The key of this id as it stands, or None. Raises `RecordUnreadable`."""
        if not re.fullmatch(ID_PATTERN, key_id):
            return None
        record = self._read(layout.access_key(key_id), KeyRecord)
        mark = self._read(layout.revoked_key(key_id), _Revoked)
        if record is None or mark is None:
            return record
        return record.model_copy(update={"revoked_at": mark.revoked_at})

    def ids(self) -> Iterator[str]:
        prefix = layout.access_keys()
        for key in self._store.list(prefix):
            yield key.removeprefix(prefix).removesuffix(".json")

    def all(self) -> tuple[list[KeyRecord], list[RecordUnreadable]]:
        """The records, by the time they were made, and what is wrong with those that are none."""
        records: list[KeyRecord] = []
        unreadable: list[RecordUnreadable] = []
        for key_id in self.ids():
            try:
                record = self.get(key_id)
            except RecordUnreadable as error:
                unreadable.append(error)
                continue
            if record is not None:
                records.append(record)
        return sorted(records, key=lambda record: (record.created_at, record.id)), unreadable

    def exist(self) -> bool:
        """Whether there is any, good or not: keys that were all revoked still guard the gate."""
        return next(iter(self._store.list(layout.access_keys(), limit=1)), None) is not None

    def revoke(self, record: KeyRecord) -> KeyRecord:
        """For ever; a key that was revoked before stays so since then."""
        mark = _Revoked(revoked_at=_text(datetime.now(UTC)))
        with contextlib.suppress(ObjectExists):
            data = pretty_json(mark.model_dump())
            self._store.put(layout.revoked_key(record.id), data, if_absent=True)
        standing = self._read(layout.revoked_key(record.id), _Revoked) or mark
        revoked = record.model_copy(update={"revoked_at": standing.revoked_at})
        self._store.put(layout.access_key(record.id), revoked.as_bytes())
        return revoked

    def replace(self, record: KeyRecord, new_id: str, at: datetime) -> KeyRecord:
        """Let it be good until `at`, or as long as it was if that is shorter: another one takes its
        place."""
        sooner = record.expires_at is not None and datetime.fromisoformat(record.expires_at) <= at
        ends = record.expires_at if sooner else _text(at)
        ending = record.model_copy(update={"expires_at": ends, "replaced_by": new_id})
        self._store.put(layout.access_key(record.id), ending.as_bytes())
        return ending

    def _read(self, key: str, model: type[_Model]) -> _Model | None:
        try:
            return model.model_validate_json(self._store.get(key))
        except ObjectMissing:
            return None
        except ValidationError as error:
            raise RecordUnreadable(
                f"{key} is not a {model.__name__} of this version: restore it or remove it"
            ) from error


def _made(tenant: str, scopes: Sequence[str], at: datetime, lasts: timedelta | None) -> NewKey:
    new_id = secrets.token_hex(6)
    text = f"slg_{new_id}_{secrets.token_urlsafe(32)}"
    record = KeyRecord(
        id=new_id,
        sha256=sha256_hex(text.encode()),
        tenant=tenant,
        scopes=sorted(set(scopes)),
        created_at=_text(at),
        expires_at=None if lasts is None else _text(at + lasts),
    )
    return NewKey(text, record)


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
