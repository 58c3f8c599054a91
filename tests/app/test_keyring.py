"""What one process remembers of the store's keys, for how long, and of how many."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.access import failures, keyring
from app.access.failures import Failures
from app.access.keyring import SECONDS, Keyring
from core.keys import KeyRecord, Keys
from core.store.base import ObjectStore
from core.store.local import LocalStore


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(ring: Keyring, key_id: str) -> KeyRecord | None:
    async def asked() -> KeyRecord | None:
        return await ring.record(key_id)

    return anyio.run(asked)


def keys_asked_for(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each that is read of the store from now on, as it is."""
    asked: list[str] = []
    get = store.get

    def noted(key: str) -> bytes:
        asked.append(key)
        return get(key)

    monkeypatch.setattr(store, "get", noted)
    return asked


def test_a_revocation_holds_within_the_seconds(store: ObjectStore) -> None:
    """Until then the key may still be good, from then on never."""
    clock, keys = Clock(), Keys(store)
    ring = Keyring(store, clock=clock)
    record = keys.create("acme", ["jobs"], None).record
    assert ask(ring, record.id) == record
    revoked = keys.revoke(record)
    clock.now += SECONDS
    assert ask(ring, record.id) == revoked


def test_a_new_key_holds_within_the_seconds(store: ObjectStore) -> None:
    """Though it was asked for before it was there; and so for the first key of all."""
    clock, keys = Clock(), Keys(store)
    ring = Keyring(store, clock=clock)
    assert not anyio.run(ring.exist)
    record = keys.create("acme", ["jobs"], None).record
    other = Keyring(store, clock=clock)
    assert ask(other, "0" * 12) is None
    clock.now += SECONDS
    assert anyio.run(ring.exist)
    assert ask(other, record.id) == record


def test_the_store_is_asked_once_in_the_seconds(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For many requests at once too, whether there is such a key or not."""
    keys = Keys(local_store)
    record = keys.create("acme", ["jobs"], None).record
    asked = keys_asked_for(local_store, monkeypatch)
    monkeypatch.setattr(keyring, "_AT_ONCE", 1)
    ring = Keyring(local_store, clock=Clock())

    async def many() -> None:
        async with anyio.create_task_group() as group:
            for key_id in [record.id, "0" * 12] * 50:
                group.start_soon(ring.record, key_id)

    anyio.run(many)
    assert sum(key.startswith("access/keys/") for key in asked) == 2


def test_made_up_ids_take_no_room_from_keys(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: memory is bounded, and a good key is still remembered."""
    monkeypatch.setattr(keyring, "_UNKNOWN", 10)
    ring = Keyring(local_store, clock=Clock())
    record = Keys(local_store).create("acme", ["jobs"], None).record
    assert ask(ring, record.id) == record
    for number in range(50):
        assert ask(ring, f"{number:012x}") is None
    assert (len(ring._known), len(ring._unknown)) == (1, 10)
    monkeypatch.setattr(local_store, "get", None)  # would fail if it were asked
    assert ask(ring, record.id) == record


@given(st.integers(1, 60), st.lists(st.floats(0.0, 120.0), max_size=80))
def test_failures_of_an_address_are_bounded(bound: int, pauses: list[float]) -> None:
    """Never more in any minute than twice the bound, and after the seconds that are told one is
    allowed."""
    clock = Clock()
    left = Failures(bound, clock=clock)
    allowed: list[float] = []
    for pause in [*pauses, *[0.0] * 2 * bound]:
        clock.now += pause
        wait = left.seconds_to_wait("192.0.2.1")
        if not wait:
            left.count("192.0.2.1")
            allowed.append(clock.now)
    for start in allowed:
        assert sum(start <= at < start + 60 for at in allowed) <= 2 * bound
    assert left.seconds_to_wait("192.0.2.1") > 0
    assert left.seconds_to_wait("192.0.2.2") == 0
    clock.now += left.seconds_to_wait("192.0.2.1")
    assert left.seconds_to_wait("192.0.2.1") == 0


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_one_who_has_many_addresses_is_one(address: str, same: str) -> None:
    """The network of an IPv6 address; an IPv4 address however it is written."""
    left = Failures(3, clock=Clock())
    for _ in range(3):
        left.count(address)
    assert left.seconds_to_wait(same) > 0
    assert left.seconds_to_wait("2001:db8:0:1::1") == 0


def test_addresses_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood from everywhere takes no more memory than this."""
    monkeypatch.setattr(failures, "_ADDRESSES", 10)
    left = Failures(3, clock=Clock())
    for number in range(50):
        left.count(f"192.0.2.{number}")
    assert len(left) == 10
