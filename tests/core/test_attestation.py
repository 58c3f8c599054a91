"""Attestations: what is signed, and that no other byte is taken for it."""

import base64
import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.attestation.envelope import pae, parse_envelope
from core.attestation.statement import make_statement
from core.report import Verdict
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL, ATTESTATION, REPORT_JSON
from tests.attested import (
    RECIPE,
    codes,
    envelope_of,
    facts,
    files_of,
    key_set,
    keys_of,
    publish,
    report,
    seed,
    sign,
    statement_of,
    verified,
    write_envelope,
)

KEY, OTHER = seed(1), seed(2)
FILES = (ADAPTER_MODEL, ADAPTER_CONFIG, REPORT_JSON)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("published") / "adapter", KEY)


def by_hand(data: bytes, jwks: dict[str, Any], files: dict[str, bytes]) -> bool:
    """The verification of the two specifications, written without any of ours."""
    envelope = json.loads(data)
    kind, body = envelope["payloadType"], base64.b64decode(envelope["payload"])
    signed = f"DSSEv1 {len(kind.encode())} {kind} {len(body)} ".encode() + body
    for signature in envelope["signatures"]:
        for key in jwks["keys"]:
            raw = base64.urlsafe_b64decode(key["x"] + "=")
            try:
                public = Ed25519PublicKey.from_public_bytes(raw)
                public.verify(base64.b64decode(signature["sig"]), signed)
            except InvalidSignature:
                continue
            statement = json.loads(body)
            return kind == "application/vnd.in-toto+json" and {
                s["name"]: s["digest"]["sha256"] for s in statement["subject"]
            } == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return False


def test_pae_is_that_of_the_specification() -> None:
    """Its own example, and lengths that count bytes, not characters."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("", b"") == b"DSSEv1 0  0 "
    assert pae("ä", b"\x00 1") == b"DSSEv1 2 \xc3\xa4 3 \x00 1"


@given(st.text(), st.binary(), st.text(), st.binary())
def test_pae_tells_type_and_payload_apart(
    kind: str, payload: bytes, other_kind: str, other_payload: bytes
) -> None:
    """No two pairs are signed as the same bytes."""
    same = (kind, payload) == (other_kind, other_payload)
    assert (pae(kind, payload) == pae(other_kind, other_payload)) == same


@settings(max_examples=60)
@given(st.integers(1, 9), st.integers(1, 9), st.binary(max_size=40), st.booleans())
def test_verifier_agrees_with_one_written_by_hand(
    tmp_path_factory: pytest.TempPathFactory, signer: int, known: int, tail: bytes, late: bool
) -> None:
    """Whoever signed, whichever key is known, whatever was added to the weights, and when."""
    made = tmp_path_factory.mktemp("pair") / "adapter"
    publish(made, seed(signer))
    if late:
        (made / ADAPTER_MODEL).write_bytes(files_of(report())[ADAPTER_MODEL] + tail)
    files = {name: (made / name).read_bytes() for name in FILES}
    jwks = json.loads(key_set([seed(known)]))
    expected = by_hand((made / ATTESTATION).read_bytes(), jwks, files)
    assert verified(made, keys_of(seed(known))).verified == expected
    assert expected == (signer == known and not (late and tail))


def test_statement_is_that_of_the_specification(folder: Path) -> None:
    """The fields an in-toto reader looks for, and ours in the predicate."""
    envelope = envelope_of(folder)
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement.keys() == {"_type", "subject", "predicateType", "predicate"}
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "urn:safelora-gate:sanitization:v1"
    assert {s["name"] for s in statement["subject"]} == set(FILES)
    assert statement["predicate"].keys() == {
        *("input", "alignment", "policy", "engine", "verdict", "summary", "recipe")
    }
    assert statement["predicate"]["policy"] == report().policy.as_json()


def test_statement_of_a_result_never_changes() -> None:
    """In whatever order its files are named: no job, time, path or device is in it."""
    facts_of = [facts(name, data) for name, data in files_of(report()).items()]
    first = make_statement(report(), facts_of, recipe=RECIPE)
    assert make_statement(report(), facts_of[::-1], recipe=RECIPE) == first


@pytest.mark.parametrize("verdict", ["scored", "rejected"])
def test_what_is_not_published_is_not_attested(verdict: Verdict) -> None:
    """Nobody can be shown an attestation of an adapter that the gate did not hand out."""
    made = report(verdict=verdict)
    with pytest.raises(ValueError, match="nothing attested"):
        make_statement(made, [], recipe=RECIPE)


def test_key_id_is_the_digest_that_openssl_gives() -> None:
    """SHA-256 of the 44 bytes of DER: a fixed prefix (RFC 8410) and the key."""
    prefix = bytes.fromhex("302a300506032b6570032100")
    assert KEY.public.id == hashlib.sha256(prefix + KEY.public.raw).hexdigest()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data())
def test_changed_byte_of_a_file_never_verifies(folder: Path, data: st.DataObject) -> None:
    """Whichever file, byte and value."""
    path = folder / data.draw(st.sampled_from(FILES))
    before = path.read_bytes()
    changed = bytearray(before)
    at = data.draw(st.integers(0, len(before) - 1))
    changed[at] = data.draw(st.integers(0, 255).filter(lambda value: value != before[at]))
    try:
        path.write_bytes(changed)
        assert codes(verified(folder, keys_of(KEY))) == ["digest_differs"]
    finally:
        path.write_bytes(before)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data())
def test_changed_payload_never_verifies(folder: Path, data: st.DataObject) -> None:
    """One byte of the statement, in an envelope that is otherwise as it was."""
    envelope = envelope_of(folder)
    payload = bytearray(base64.b64decode(envelope["payload"]))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] ^= data.draw(st.integers(1, 255))
    try:
        write_envelope(folder, {**envelope, "payload": base64.b64encode(payload).decode()})
        assert codes(verified(folder, keys_of(KEY))) == ["signature_invalid"]
    finally:
        write_envelope(folder, envelope)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=500)
@given(data=st.data())
def test_changed_byte_of_an_envelope_verifies_only_if_it_means_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Base64 may be of the other alphabet, and the key id, which nobody signs, be left out."""
    made = tmp_path_factory.mktemp("bytes") / "adapter"
    publish(made, KEY)
    path = made / ATTESTATION
    before = path.read_bytes()
    changed = bytearray(before)
    at = data.draw(st.integers(0, len(before) - 1))
    changed[at] = data.draw(st.integers(0, 255).filter(lambda value: value != before[at]))
    path.write_bytes(changed)
    if verified(made, keys_of(KEY)).verified:
        assert meaning(bytes(changed)) == meaning(before)


def meaning(data: bytes) -> list[object]:
    envelope = parse_envelope(data)
    spelled = [envelope.payload, *(s.sig for s in envelope.signatures)]
    return [
        envelope.payloadType,
        [base64.urlsafe_b64decode(text.translate({43: 45, 47: 95})) for text in spelled],
    ]


def test_url_safe_base64_is_read_too(folder: Path) -> None:
    """Verifiers must accept either alphabet."""
    envelope = envelope_of(folder)
    safe = json.loads(json.dumps(envelope).replace("+", "-"))
    safe["payloadType"] = envelope["payloadType"]
    for signature in safe["signatures"]:
        signature["sig"] = signature["sig"].replace("/", "_")
    safe["payload"] = safe["payload"].replace("/", "_")
    try:
        write_envelope(folder, safe)
        assert verified(folder, keys_of(KEY)).verified
    finally:
        write_envelope(folder, envelope)


def test_one_trusted_signature_among_others_is_enough(tmp_path: Path) -> None:
    """Whatever stands beside it, in either order; and without key ids every key is tried."""
    made = publish(tmp_path / "adapter", OTHER)
    strange = envelope_of(made)["signatures"]
    sign(made, KEY, statement_of(report()))
    own = envelope_of(made)
    for signatures in (
        [*strange, *own["signatures"]],
        [*own["signatures"], *strange],
        [{"sig": own["signatures"][0]["sig"]}],
        [{"sig": own["signatures"][0]["sig"], "keyid": ""}],
    ):
        write_envelope(made, {**own, "signatures": signatures})
        outcome = verified(made, keys_of(KEY, seed(5)))
        assert (outcome.verified, outcome.key) == (True, KEY.public.id)


def test_what_later_versions_add_is_passed_over(tmp_path: Path) -> None:
    """Fields that nobody knows yet, in the envelope, the statement and its predicate."""
    made = publish(tmp_path / "adapter", KEY)
    statement = statement_of(report())
    statement["later"] = statement["predicate"]["later"] = {"x": 1}
    statement["subject"][0]["uri"] = "pkg:generic/adapter"
    statement["subject"][0]["digest"]["sha512"] = "0" * 128
    sign(made, KEY, statement)
    write_envelope(made, {**envelope_of(made), "later": 1})
    assert verified(made, keys_of(KEY)).verified


def test_report_may_be_left_out(tmp_path: Path) -> None:
    """The archive that is downloaded has the adapter's two files and the attestation alone."""
    made = publish(tmp_path / "adapter", KEY)
    (made / REPORT_JSON).unlink()
    assert verified(made, keys_of(KEY)).verified


def test_allowed_name_is_that_name_alone(tmp_path: Path) -> None:
    """A plain file of it; what replaces an attested one is never allowed."""
    made = publish(tmp_path / "adapter", KEY)
    (made / "README.md").write_text("# an adapter")
    assert codes(verified(made, keys_of(KEY))) == ["file_not_attested"]
    assert verified(made, keys_of(KEY), allowed=frozenset({"README.md"})).verified
    (made / "README.md").rename(made / "readme.md")
    assert not verified(made, keys_of(KEY), allowed=frozenset({"README.md"})).verified
    (made / "readme.md").unlink()
    (made / "README.md").symlink_to("/etc/passwd")
    assert codes(verified(made, keys_of(KEY), allowed=frozenset({"README.md"}))) == ["symlink"]
    (made / ADAPTER_MODEL).write_bytes(b"other")
    required = frozenset({"README.md", ADAPTER_MODEL})
    assert codes(verified(made, keys_of(KEY), allowed=required)) == ["symlink", "size_differs"]


def test_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be looked at is not verified."""
    made = publish(tmp_path / "adapter", KEY)
    opened = os.open

    def closed(path: Path, flags: int) -> int:
        if path.name == ADAPTER_MODEL:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, flags)

    monkeypatch.setattr("core.attestation.folder.os.open", closed)
    assert codes(verified(made, keys_of(KEY))) == ["file_unreadable"]


@pytest.mark.parametrize(
    ("required", "code"),
    [
        ({"engine": "0.2.0"}, None),
        ({"engine": "0.2"}, None),
        ({"engine": "0.1.99"}, None),
        ({"engine": "0.2.1"}, "engine_too_old"),
        ({"engine": "0.10"}, "engine_too_old"),
        ({"engine": "1"}, "engine_too_old"),
        ({"alignments": frozenset({"bd419acffd5a4595c863a5d2bf039e6b7e92d221", "b"})}, None),
        ({"alignments": frozenset({"tiny-chat"})}, "alignment_not_allowed"),
        ({"verdicts": frozenset({"projected"})}, None),
        ({"verdicts": frozenset({"unchanged"})}, "verdict_not_allowed"),
    ],
)
def test_what_is_required_must_be_attested(
    folder: Path, required: dict[str, Any], code: str | None
) -> None:
    """An alignment by its id, for names are given by whoever runs the gate."""
    assert codes(verified(folder, keys_of(KEY), **required)) == ([code] if code else [])


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Whoever mends one thing is not sent back for the next."""
    made = publish(tmp_path / "adapter", KEY)
    (made / "adapter_model.bin").write_bytes(b"x")
    (made / ADAPTER_CONFIG).unlink()
    outcome = verified(made, keys_of(KEY), engine="99")
    assert codes(outcome) == ["file_not_attested", "file_missing", "engine_too_old"]
    assert outcome.predicate is not None
