"""Signing keys: their file, their record in the store, and the set that is handed out."""

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from core.attestation.base64s import decode, decode_url, encode, encode_url
from core.attestation.keeping import create_key, retire_key, rotate_key
from core.attestation.key_set import KeysUnusable, jwk, parse_key_set
from core.attestation.keys import PublicKey, SigningKey, SigningKeyUnusable
from core.attestation.published import PublishedKeys
from core.canonical import canonical_json
from core.errors import Conflict, NotFound, RecordUnreadable
from core.store import layout
from core.store.base import ObjectStore
from tests.attested import SINCE, key_set, seed

LATER = "2026-12-01T00:00:00.000Z"
KEY, OTHER = seed(1), seed(2)


@given(st.binary())
def test_base64_has_one_spelling(data: bytes) -> None:
    """In each alphabet."""
    assert decode(encode(data)) == decode_url(encode_url(data)) == data


@given(st.text("ABYZabyz0189+/-_= \n", max_size=12))
def test_no_two_texts_of_one_alphabet_are_one_value(text: str) -> None:
    """What is read is spelled as we would spell it."""
    try:
        data = decode(text)
    except ValueError:
        return
    assert text.replace("-", "+").replace("_", "/") == encode(data)


def test_key_file_is_for_its_owner_alone(tmp_path: Path, local_store: ObjectStore) -> None:
    """0600 whatever the umask is, PKCS #8 in PEM, and read back as the same key."""
    before = os.umask(0)
    try:
        path = tmp_path / "keys" / "key.pem"
        record = create_key(path, PublishedKeys(local_store), SINCE)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert SigningKey.load(path).public.id == record.kid
    assert [p.name for p in path.parent.iterdir()] == ["key.pem"]


def foreign_keys() -> dict[str, bytes]:
    pkcs8, pem = PrivateFormat.PKCS8, Encoding.PEM
    curve = ec.generate_private_key(ec.SECP256R1())
    return {
        "EC": curve.private_bytes(pem, pkcs8, NoEncryption()),
        "RSA": rsa.generate_private_key(65537, 2048).private_bytes(pem, pkcs8, NoEncryption()),
        "a passphrase": curve.private_bytes(pem, pkcs8, BestAvailableEncryption(b"secret")),
        "nothing": b"",
        "words": b"correct horse battery staple",
        "half a key": b"-----BEGIN PRIVATE KEY-----\nMC4CAQ",
    }


@pytest.mark.parametrize("name", ["EC", "RSA", "a passphrase", "nothing", "words", "half a key"])
def test_file_with_anything_else_is_no_signing_key(name: str, tmp_path: Path) -> None:
    """The message names the file, and shows nothing of it."""
    path = tmp_path / "key.pem"
    path.write_bytes(foreign_keys()[name])
    with pytest.raises(SigningKeyUnusable) as raised:
        SigningKey.load(path)
    assert str(path) in raised.value.message
    assert "horse" not in raised.value.message
    assert raised.value.__cause__ is None


def test_key_that_is_not_there_is_unusable(tmp_path: Path) -> None:
    """Nor is a folder in its place a key."""
    for path in (tmp_path / "none.pem", tmp_path):
        with pytest.raises(SigningKeyUnusable):
            SigningKey.load(path)


def test_create_goes_on_where_it_was_killed(tmp_path: Path, store: ObjectStore) -> None:
    """A file whose public half is not published yet is kept, and published; twice is once."""
    path, published = tmp_path / "key.pem", PublishedKeys(store)
    KEY.write_new(path)
    first = create_key(path, published, SINCE)
    assert (first.kid, first.created_at) == (KEY.public.id, SINCE)
    assert create_key(path, published, LATER) == first
    assert list(published.all()) == [first]


def test_rotation_keeps_the_old_public_key_until_it_is_retired(
    tmp_path: Path, store: ObjectStore
) -> None:
    """The new one signs; the old one verifies until `retire`, and never again after."""
    path, published = tmp_path / "key.pem", PublishedKeys(store)
    old = create_key(path, published, SINCE)
    new = rotate_key(path, published, LATER)
    assert SigningKey.load(path).public.id == new.kid != old.kid
    assert path.stat().st_mode & 0o777 == 0o600
    keys = parse_key_set(canonical_json(published.as_json()))
    assert keys.trusted.keys() == {old.kid, new.kid}

    retire_key(old.kid, path, published, LATER)
    keys = parse_key_set(canonical_json(published.as_json()))
    assert (set(keys.trusted), set(keys.retired)) == ({new.kid}, {old.kid})
    assert (published.is_trusted(old.kid), published.any_trusted()) == (False, True)
    with pytest.raises(Conflict, match="retired since"):
        retire_key(old.kid, path, published, LATER)


def test_retired_key_is_not_published_again(tmp_path: Path, store: ObjectStore) -> None:
    """Its record stands: `create` with its file, from a backup, is refused."""
    path, published = tmp_path / "key.pem", PublishedKeys(store)
    KEY.write_new(path)
    create_key(path, published, SINCE)
    published.retire(KEY.public.id, LATER)
    with pytest.raises(Conflict) as refused:
        create_key(path, published, LATER)
    assert refused.value.code == "signing_key_retired"
    assert not published.any_trusted()


def test_key_that_signs_is_not_retired(tmp_path: Path, local_store: ObjectStore) -> None:
    """The workers would sign on with it; nor is one that nobody knows."""
    path, published = tmp_path / "key.pem", PublishedKeys(local_store)
    record = create_key(path, published, SINCE)
    with pytest.raises(Conflict) as refused:
        retire_key(record.kid, path, published, LATER)
    assert refused.value.code == "signing_key_in_use"
    with pytest.raises(NotFound):
        retire_key("0" * 64, path, published, LATER)


def test_rotation_writes_over_nothing_but_a_key(tmp_path: Path, local_store: ObjectStore) -> None:
    """A path that was mistyped loses nobody's file."""
    path = tmp_path / "notes.txt"
    path.write_text("notes")
    with pytest.raises(SigningKeyUnusable):
        rotate_key(path, PublishedKeys(local_store), SINCE)
    assert path.read_text() == "notes"
    assert list(PublishedKeys(local_store).all()) == []


def test_record_of_another_key_is_unreadable(local_store: ObjectStore) -> None:
    """Whoever copies one record over another makes no key trusted by another's name."""
    published = PublishedKeys(local_store)
    published.publish(KEY.public, SINCE)
    data = local_store.get(layout.attestation_key(KEY.public.id))
    local_store.put(layout.attestation_key(OTHER.public.id), data)
    with pytest.raises(RecordUnreadable):
        published.find(OTHER.public.id)
    local_store.put(layout.attestation_key(OTHER.public.id), b"{")
    with pytest.raises(RecordUnreadable):
        published.as_json()


def test_key_set_is_read_as_it_is_written() -> None:
    """Trusted and retired, each by its digest."""
    keys = parse_key_set(key_set([KEY], [OTHER]))
    assert keys.trusted == {KEY.public.id: KEY.public}
    assert keys.retired == {OTHER.public.id: OTHER.public}


ENTRY = jwk(KEY.public, created_at=SINCE)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"", "not JSON"),
        (b'{"keys": [], "keys": []}', "not JSON"),
        (b"[]", "no JSON Web Key Set"),
        (b"{}", "no JSON Web Key Set"),
        (b'{"keys": {}}', "objects alone"),
        (b'{"keys": ["x"]}', "objects alone"),
        (b'{"keys": [], "retired": null}', "objects alone"),
        (json.dumps({"keys": [{**ENTRY, "kid": "mine"}]}).encode(), "by its digest"),
        (json.dumps({"keys": [{**ENTRY, "d": "AA"}]}).encode(), "a private key"),
        (json.dumps({"keys": [{**ENTRY, "x": "AA"}]}).encode(), "32 bytes"),
        (json.dumps({"keys": [{**ENTRY, "x": 1}]}).encode(), "32 bytes"),
        (json.dumps({"keys": [{**ENTRY, "x": f"{ENTRY['x']}="}]}).encode(), "cannot be read"),
        (b" " * 2**21, "over"),
    ],
)
def test_anything_else_is_no_key_set(document: bytes, why: str) -> None:
    """Fail closed: half a key set would verify half of what it should."""
    with pytest.raises(KeysUnusable, match=why):
        parse_key_set(document)


def test_key_of_another_length_is_none() -> None:
    """32 bytes, as RFC 8032 has it."""
    with pytest.raises(ValueError, match="32 bytes"):
        PublicKey(bytes(31))
