"""Idempotency-Key: the same request sent twice makes one job."""

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Header
from pydantic import ValidationError

from core.canonical import pretty_json
from core.errors import Conflict, RecordUnreadable, Unprocessable
from core.model import Frozen
from core.store import layout
from core.store.base import ObjectExists, ObjectMissing, ObjectStore

_FORM = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="the same request sent again under it makes no second job",
        json_schema_extra={"pattern": f"^{_FORM.pattern}$"},
    ),
]


class Claim(Frozen):
    """Which job a key stands for, and the digest of the request that made it. `version`: of what
    is sent anew under the same name, the one that was meant."""

    job_id: str
    digest: str
    version: str | None = None

    def as_bytes(self) -> bytes:
        return pretty_json(self.model_dump(exclude_none=True))


@dataclass(frozen=True)
class EventKey:
    """What tells an event of one webhook source from all others, in place of a caller's key.

    `digest`: of what the event said; the same event never says anything else. No caller's key is
    ever the same, for none holds a line feed.
    """

    source: str
    event: str
    digest: str


def standing_claim(store: ObjectStore, tenant: str, key: str | EventKey) -> Claim | None:
    """What this key stands for already, whatever is asked now. Raises `Unprocessable`."""
    return _read(store, _place(tenant, key))


class Idempotency:
    """One caller's key for one request. Without a key nothing is remembered."""

    def __init__(
        self, store: ObjectStore, tenant: str, key: str | EventKey | None, digest: str
    ) -> None:
        self._store = store
        self._key = key
        self._place = None if key is None else _place(tenant, key)
        self._digest = key.digest if isinstance(key, EventKey) else digest

    def job_id(self) -> str | None:
        """The job this key stands for already. Raises `Unprocessable` if for another request."""
        if self._place is None:
            return None
        claim = _read(self._store, self._place)
        if claim is None:
            return None
        if claim.digest != self._digest:
            if isinstance(self._key, EventKey):
                raise Unprocessable(
                    "an event of this id came before and said something else: give each its own",
                    code="hook_event_reused",
                )
            raise Unprocessable(
                "this Idempotency-Key was used for another request: send a new key",
                code="idempotency_key_reused",
            )
        return claim.job_id

    def claim(self, job_id: str, version: str | None = None) -> str:
        """Let the key stand for `job_id`; returns the job it stands for, if another was first.

        Raises as `job_id` and `check_version` do.
        """
        if self._place is None:
            return job_id
        claim = Claim(job_id=job_id, digest=self._digest, version=version)
        try:
            self._store.put(self._place, claim.as_bytes(), if_absent=True)
        except ObjectExists:
            self.check_version(version)
            return self.job_id() or job_id
        return job_id

    def check_version(self, version: str | None) -> None:
        """Raises `Conflict` (`upload_changed`) if the key stands for another version: its job may
        be accepted at this moment, and must not get the bytes of this one."""
        claim = None if self._place is None else _read(self._store, self._place)
        if claim is not None and claim.version != version:
            raise Conflict(
                "the upload was sent anew since this Idempotency-Key was first used: send a new"
                " key",
                code="upload_changed",
            )


def _place(tenant: str, key: str | EventKey) -> str:
    """Raises `Unprocessable` for what is no key."""
    if isinstance(key, EventKey):
        return layout.idempotency(tenant, f"hook\n{key.source}\n{key.event}")
    if not _FORM.fullmatch(key):
        raise Unprocessable(
            "the Idempotency-Key is not 1 to 255 printable characters: send a UUID",
            code="idempotency_key_invalid",
        )
    return layout.idempotency(tenant, key)


def _read(store: ObjectStore, place: str) -> Claim | None:
    try:
        return Claim.model_validate_json(store.get(place))
    except ObjectMissing:
        return None
    except ValidationError as error:
        raise RecordUnreadable(f"{place} is no claim of this version: remove it") from error
