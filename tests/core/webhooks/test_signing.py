"""Signatures are those of Standard Webhooks, by its own library; secrets rotate without a gap."""

import base64
import json
import time
from datetime import UTC, datetime
from threading import Barrier, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from core.errors import RecordUnreadable
from core.store import layout
from core.store.base import ObjectStore
from core.store.local import LocalStore
from core.webhooks.signing import MOST, Secret, Secrets, sign

HOUR = 3_600_000
T0 = 1_795_426_200_000

keys = st.binary(min_size=32, max_size=32).map(
    lambda key: Secret(secret="whsec_" + base64.b64encode(key).decode(), made_ms=0, overlap_ms=0)
)
bodies = st.dictionaries(st.text(), st.text() | st.integers() | st.none()).map(
    lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
)


@given(keys, st.text("abcdefmsg_0123456789", min_size=1), st.integers(0, 2**31), bodies)
def test_signatures_are_the_librarys(
    secret: Secret, message_id: str, timestamp: int, body: bytes
) -> None:
    """Byte for byte, for any key, id, time and body."""
    headers = sign([secret], message_id=message_id, timestamp=timestamp, body=body)
    moment = datetime.fromtimestamp(timestamp, UTC)
    theirs = Webhook(secret.secret).sign(message_id, moment, body.decode())
    assert headers["webhook-signature"] == theirs


@given(st.lists(keys, min_size=1, max_size=MOST, unique_by=lambda key: key.secret), bodies)
def test_the_library_takes_any_of_several(secrets: list[Secret], body: bytes) -> None:
    """Whoever has one of the secrets that sign finds the message good, and nobody else does."""
    headers = sign(secrets, message_id="msg_1", timestamp=int(time.time()), body=body)
    for secret in secrets:
        assert Webhook(secret.secret).verify(body, headers) == json.loads(body)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret.secret).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(b"x" * 31 + b"!").decode()).verify(body, headers)


def test_a_new_secret_and_the_one_before_sign_for_the_overlap(store: ObjectStore) -> None:
    """Then the new one alone; the old one is forgotten at the next rotation."""
    secrets = Secrets(store, "acme")
    assert not secrets.exist()
    assert secrets.signing(T0) == []
    first = secrets.rotate(overlap_ms=24 * HOUR, now_ms=T0)
    assert secrets.exist()
    assert (secrets.signing(T0), secrets.previous_until(T0)) == ([first], None)
    second = secrets.rotate(overlap_ms=24 * HOUR, now_ms=T0 + HOUR)
    assert secrets.signing(T0 + HOUR) == [second, first]
    assert secrets.previous_until(T0 + HOUR) == T0 + 25 * HOUR
    assert secrets.signing(T0 + 25 * HOUR - 1) == [second, first]
    assert secrets.signing(T0 + 25 * HOUR) == [second]
    third = secrets.rotate(overlap_ms=0, now_ms=T0 + 26 * HOUR)
    assert secrets.signing(T0 + 26 * HOUR) == [third]
    assert len(list(store.list(layout.webhook_secrets("acme")))) == 1


def test_a_leaked_secret_ends_at_once(local_store: LocalStore) -> None:
    """Without an overlap all before it sign no more, those that were still to sign for a while."""
    secrets = Secrets(local_store, "acme")
    for hour in range(3):
        secrets.rotate(overlap_ms=24 * HOUR, now_ms=T0 + hour * HOUR)
    last = secrets.rotate(overlap_ms=0, now_ms=T0 + 3 * HOUR)
    assert secrets.signing(T0 + 3 * HOUR) == [last]


def test_of_many_secrets_the_newest_sign(local_store: LocalStore) -> None:
    """A header does not grow without end, nor what each message is signed from: who rotates in a
    loop, each time with the longest overlap, leaves no more objects than sign."""
    secrets = Secrets(local_store, "acme")
    made = [secrets.rotate(overlap_ms=168 * HOUR, now_ms=T0 + n) for n in range(MOST + 9)]
    assert secrets.signing(T0 + 10) == made[::-1][:MOST]
    assert len(list(local_store.list(layout.webhook_secrets("acme")))) == MOST


def test_two_rotations_at_once_lose_neither(local_store: LocalStore) -> None:
    """Both callers were shown a secret; both secrets sign."""
    secrets, barrier = Secrets(local_store, "acme"), Barrier(2)
    made: list[Secret] = []

    def rotate() -> None:
        barrier.wait()
        made.append(secrets.rotate(overlap_ms=24 * HOUR))

    threads = [Thread(target=rotate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    signing = secrets.signing(max(secret.made_ms for secret in made))
    assert {secret.secret for secret in signing} == {secret.secret for secret in made}


def test_tenants_have_secrets_of_their_own(local_store: LocalStore) -> None:
    """One tenant's says nothing of another's."""
    Secrets(local_store, "acme").rotate(overlap_ms=0)
    assert not Secrets(local_store, "umbrella").exist()


def test_a_damaged_secret_is_not_shown(local_store: LocalStore) -> None:
    """The error names the record, not what is in it; nothing is signed by a guess."""
    key = layout.webhook_secret("acme", "0")
    local_store.put(key, b'{"secret": "whsec_geheim", "made_ms": 1, "overlap_ms": 0}')
    with pytest.raises(RecordUnreadable) as refused:
        Secrets(local_store, "acme").signing(T0)
    assert key in str(refused.value)
    assert "geheim" not in repr(refused.value) + repr(refused.value.__cause__)


def test_secrets_are_not_printed() -> None:
    """Neither by a log nor by a traceback."""
    secret = Secret(secret="whsec_" + "A" * 43 + "=", made_ms=0, overlap_ms=0)
    assert "AAAA" not in f"{secret!r} {secret}"
