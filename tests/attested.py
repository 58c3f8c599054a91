"""Folders as a gate publishes them, with an attestation, for tests of what verifies them."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.attestation.envelope import PAYLOAD_TYPE, pae, seal
from core.attestation.key_set import KeySet, jwk, parse_key_set
from core.attestation.keys import SigningKey
from core.attestation.statement import make_statement
from core.attestation.verify import Requirements, Verification, verify_folder
from core.canonical import canonical_json, sha256_hex
from core.policy import Policy
from core.report import (
    AlignmentFacts,
    FileFacts,
    InputFacts,
    OutputFacts,
    Report,
    Summary,
    Verdict,
)
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL, ATTESTATION, REPORT_JSON

SINCE = "2026-11-27T12:00:00.000Z"
ALIGNMENT = "bd419acffd5a4595c863a5d2bf039e6b7e92d221"
RECIPE = "2d711642b726b04401627ca9fbac32f5c8530fb1"
ADAPTER = {ADAPTER_MODEL: b"sanitized weights", ADAPTER_CONFIG: b'{"r": 8}\n'}


def report(policy: Policy | None = None, verdict: Verdict = "projected") -> Report:
    """Of an adapter that was sanitized."""
    return Report(
        verdict=verdict,
        summary=Summary(modules=28, projected=14, retained=0.6579665494090222),
        alignment=AlignmentFacts(id=ALIGNMENT, name="tiny-chat", rank=64, storage_loss=0.0),
        policy=policy or Policy(),
        input=InputFacts(files=[facts(n, b"uploaded " + data) for n, data in ADAPTER.items()]),
        output=OutputFacts(files=[facts(n, data) for n, data in ADAPTER.items()]),
    )


def facts(name: str, data: bytes) -> FileFacts:
    return FileFacts(name=name, size=len(data), sha256=sha256_hex(data))


def files_of(made: Report) -> dict[str, bytes]:
    """What is attested."""
    return {**ADAPTER, REPORT_JSON: made.as_bytes()}


def statement_of(made: Report) -> dict[str, Any]:
    """The statement of these files, to be changed."""
    data = make_statement(made, [facts(n, d) for n, d in files_of(made).items()], recipe=RECIPE)
    statement: dict[str, Any] = json.loads(data)
    return statement


def publish(folder: Path, key: SigningKey, made: Report | None = None) -> Path:
    """A folder as it is downloaded, signed by `key`."""
    made = made or report()
    folder.mkdir(parents=True)
    for name, data in files_of(made).items():
        (folder / name).write_bytes(data)
    sign(folder, key, statement_of(made))
    return folder


def sign(
    folder: Path, key: SigningKey, statement: object, payload_type: str = PAYLOAD_TYPE
) -> None:
    """Another statement, though signed as it should be."""
    payload = statement if isinstance(statement, bytes) else canonical_json(statement)  # type: ignore[arg-type]
    envelope = seal(payload, key)
    if payload_type != PAYLOAD_TYPE:
        signature = envelope.signatures[0].model_copy(
            update={"sig": base64.b64encode(key.sign(pae(payload_type, payload))).decode()}
        )
        envelope = envelope.model_copy(
            update={"payloadType": payload_type, "signatures": [signature]}
        )
    (folder / ATTESTATION).write_bytes(envelope.as_bytes())


def envelope_of(folder: Path) -> dict[str, Any]:
    envelope: dict[str, Any] = json.loads((folder / ATTESTATION).read_bytes())
    return envelope


def write_envelope(folder: Path, envelope: object) -> None:
    (folder / ATTESTATION).write_text(json.dumps(envelope))


def key_set(trusted: Iterable[SigningKey] = (), retired: Iterable[SigningKey] = ()) -> bytes:
    """As the gate answers at its well-known address."""
    return canonical_json(
        {
            "keys": [jwk(key.public, created_at=SINCE) for key in trusted],
            "retired": [jwk(k.public, created_at=SINCE, retired_at=SINCE) for k in retired],
        }
    )


def keys_of(*trusted: SigningKey, retired: Iterable[SigningKey] = ()) -> KeySet:
    return parse_key_set(key_set(trusted, retired))


def verified(folder: Path, keys: KeySet, **required: Any) -> Verification:
    return verify_folder(folder, keys, Requirements(**required))


def codes(outcome: Verification) -> list[str]:
    return [problem.code for problem in outcome.problems]


def seed(number: int) -> SigningKey:
    """The same key in every test run."""
    return SigningKey(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))
