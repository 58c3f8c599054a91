"""API keys in the store: made once, found by their id, revoked for good."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.canonical import sha256_hex
from core.errors import RecordUnreadable
from core.keys import KeyRecord, Keys, key_id
from core.scopes import JOBS, SCOPES
from core.store import layout
from core.store.base import ObjectStore

HOUR = timedelta(hours=1)
OTHER = "f" * 12


def test_a_key_is_found_by_its_id_and_kept_by_its_hash(store: ObjectStore) -> None:
    """What lies in the store does not let anyone in."""
    new = Keys(store).create("acme", [JOBS, JOBS], None)
    assert re.fullmatch(r"slg_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", new.text)
    assert key_id(new.text) == new.record.id
    assert Keys(store).get(new.record.id) == new.record
    assert new.record.sha256 == sha256_hex(new.text.encode())
    assert (new.record.tenant, new.record.scopes) == ("acme", [JOBS])
    secret = new.text.removeprefix(f"slg_{new.record.id}_").encode()
    for key in store.list("access/"):
        assert secret not in store.get(key)
    assert secret.decode() not in repr(new)


def test_whether_there_are_keys(store: ObjectStore) -> None:
    """Revoked ones count: the gate does not open to all because its last key was revoked."""
    keys = Keys(store)
    assert not keys.exist()
    new = keys.create("acme", [JOBS], None)
    assert keys.exist()
    keys.revoke(new.record)
    assert keys.exist()
    assert list(keys.ids()) == [new.record.id]


@pytest.mark.parametrize("key", ["", "..", "../keys", "a" * 12 + ".json", "A" * 12, "ä" * 12, "\0"])
def test_what_is_no_id_never_reaches_the_store(store: ObjectStore, key: str) -> None:
    """There is just no such key."""
    assert Keys(store).get(key) is None


def test_nothing_brings_a_revoked_key_back(store: ObjectStore) -> None:
    """A rotation that read the record before it was revoked writes it after: still revoked."""
    keys = Keys(store)
    read_before = keys.create("acme", [JOBS], None).record
    revoked = keys.revoke(read_before)
    keys.replace(read_before, OTHER, datetime.now(UTC) + HOUR)
    standing = keys.get(read_before.id)
    assert standing is not None
    assert standing.revoked_at == revoked.revoked_at
    assert standing.state(datetime.now(UTC)) == "revoked"
    assert keys.revoke(standing).revoked_at == revoked.revoked_at


def test_expiry_is_never_put_off(store: ObjectStore) -> None:
    """A rotation with a long overlap does not lengthen what was to end before."""
    keys = Keys(store)
    record = keys.create("acme", [JOBS], HOUR).record
    ending = keys.replace(record, OTHER, datetime.now(UTC) + 2 * HOUR)
    assert (ending.expires_at, ending.replaced_by) == (record.expires_at, OTHER)
    assert keys.get(record.id) == ending
    sooner = keys.replace(record, OTHER, datetime.now(UTC))
    assert keys.get(record.id) == sooner
    assert sooner.state(datetime.now(UTC)) == "expired"


@given(
    expires=st.datetimes(timezones=st.just(UTC)),
    away=st.timedeltas(timedelta(days=-1), timedelta(days=1)),
)
def test_a_key_is_good_before_its_end_and_not_at_it(expires: datetime, away: timedelta) -> None:
    """To the microsecond."""
    record = KeyRecord(
        id="0" * 12,
        sha256="0" * 64,
        tenant="acme",
        scopes=[JOBS],
        created_at="2000-01-01T00:00:00Z",
        expires_at=expires.isoformat(),
    )
    try:
        at = expires + away
    except OverflowError:
        at = expires
        away = timedelta(0)
    assert record.state(at) == ("active" if away < timedelta(0) else "expired")


@given(st.text(max_size=80) | st.from_regex(r"slg_[0-9a-f]{11,13}_[A-Za-z0-9_-]{42,44}"))
def test_only_a_key_of_the_form_has_an_id(text: str) -> None:
    """The form is exact, so a key of the settings is never taken for one of the store."""
    fits = re.fullmatch(r"slg_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", text, re.ASCII) is not None
    assert (key_id(text) is not None) == fits


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"not JSON",
        b'{"expires_at": "soon"}',
        b'{"id":"0123456789ab","sha256":"%s","tenant":"a","scopes":[],'
        b'"created_at":"2026-01-01T00:00:00"}' % (b"0" * 64),
    ],
)
def test_a_damaged_record_is_an_error(store: ObjectStore, data: bytes) -> None:
    """Neither a key nor none; a time without its zone is damage too."""
    store.put(layout.access_key("0123456789ab"), data)
    with pytest.raises(RecordUnreadable, match=r"access/keys/0123456789ab\.json"):
        Keys(store).get("0123456789ab")


def test_a_damaged_mark_revokes_none_silently(store: ObjectStore) -> None:
    """Whether the key was revoked is then unknown, and that is an error."""
    new = Keys(store).create("acme", [JOBS], None)
    store.put(layout.revoked_key(new.record.id), b"{")
    with pytest.raises(RecordUnreadable, match="access/revoked"):
        Keys(store).get(new.record.id)


def test_every_scope_says_what_it_allows() -> None:
    """In one line."""
    assert all(words and "\n" not in words for words in SCOPES.values())
