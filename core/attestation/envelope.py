"""The DSSE envelope (protocol 1.0.0): bytes, what they are, and who signed both.

https://github.com/secure-systems-lab/dsse
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.attestation import base64s
from core.attestation.key_set import KeySet
from core.attestation.keys import PublicKey, SigningKey
from core.attestation.refused import NotVerified
from core.canonical import DuplicateKey, Json, canonical_json, parse_json_strictly

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
ENVELOPE_LIMIT: Final = 2**20
SIGNATURE_LIMIT: Final = 16


class Signature(BaseModel):
    """`keyid` is a hint that nobody signed: it only says which keys to try."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    keyid: str = ""
    sig: str


class Envelope(BaseModel):
    """Unknown fields are passed over, as the specification asks. `payload` and `sig` are base64."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    payload: str
    payloadType: str  # noqa: N815  (the specification's name)
    signatures: Annotated[list[Signature], Field(min_length=1, max_length=SIGNATURE_LIMIT)]

    def as_bytes(self) -> bytes:
        """Without a space, so that no byte of it can be another and mean the same."""
        dumped: Json = self.model_dump()
        return canonical_json(dumped) + b"\n"


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed: type and payload, each behind its length in bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(payload: bytes, key: SigningKey) -> Envelope:
    """Ed25519 leaves nothing to chance: the same payload and key give the same envelope."""
    signed = key.sign(pae(PAYLOAD_TYPE, payload))
    signature = Signature(keyid=key.public.id, sig=base64s.encode(signed))
    return Envelope(
        payload=base64s.encode(payload), payloadType=PAYLOAD_TYPE, signatures=[signature]
    )


def parse_envelope(data: bytes) -> Envelope:
    """Raises `NotVerified`."""
    if len(data) > ENVELOPE_LIMIT:
        raise NotVerified("attestation_too_large", f"it has over {ENVELOPE_LIMIT} bytes")
    try:
        parsed = parse_json_strictly(data)
    except DuplicateKey as error:
        raise NotVerified(
            "attestation_duplicate_key", f"two readers may disagree: {error}"
        ) from None
    except ValueError as error:
        raise NotVerified("attestation_not_json", f"it is not JSON: {error}") from None
    try:
        return Envelope.model_validate(parsed)
    except ValidationError as error:
        raise NotVerified("envelope_invalid", f"it is no DSSE envelope: {_where(error)}") from None


def open_envelope(envelope: Envelope, keys: KeySet) -> tuple[bytes, str]:
    """The payload and the id of a trusted key that signed it as what it claims to be.

    One such signature is enough; others beside it count for nothing. Raises `NotVerified`.
    """
    payload = _decoded(envelope.payload, "payload")
    message = pae(envelope.payloadType, payload)
    signatures = [(s.keyid, _decoded(s.sig, "sig")) for s in envelope.signatures]
    for keyid, signature in signatures:
        for kid, key in _candidates(keys.trusted, keyid):
            if key.has_signed(message, signature):
                if envelope.payloadType != PAYLOAD_TYPE:
                    raise NotVerified(
                        "payload_type", f"what is signed is no {PAYLOAD_TYPE}, but something else"
                    )
                return payload, kid
    raise _why_not(keys, message, signatures)


def _why_not(keys: KeySet, message: bytes, signatures: list[tuple[str, bytes]]) -> NotVerified:
    for keyid, signature in signatures:
        for kid, key in _candidates(keys.retired, keyid):
            if key.has_signed(message, signature):
                return NotVerified(
                    "key_retired",
                    f"it is signed by key {kid}, which is retired and no longer to be trusted:"
                    " have the adapter sanitized anew",
                )
    named = {keyid for keyid, _ in signatures}
    if named & (keys.trusted.keys() | keys.retired.keys()) or "" in named:
        return NotVerified(
            "signature_invalid", "no trusted key has signed these bytes as what they claim to be"
        )
    if named & keys.foreign:
        return NotVerified(
            "key_type", "it names a key that is no Ed25519 key, and only such keys sign"
        )
    return NotVerified(
        "key_unknown",
        "it names a key that is not among those given: if the gate has a new one, fetch its keys",
    )


def _candidates(keys: Mapping[str, PublicKey], keyid: str) -> Iterator[tuple[str, PublicKey]]:
    if keyid == "":
        yield from keys.items()
    elif keyid in keys:
        yield keyid, keys[keyid]


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64s.decode(text)
    except ValueError as error:
        raise NotVerified("base64_invalid", f"{what}: {error}") from None


def _where(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the document'}: {first['msg']}"
