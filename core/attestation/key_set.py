"""The public keys of a gate as a JSON Web Key Set (RFC 7517; Ed25519 keys as RFC 8037 has them).

Retired keys are not among its `keys` but in a list of their own, `retired`: a reader that knows
nothing of retiring takes them for unknown, and trusts none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.attestation.base64s import decode_url, encode_url
from core.attestation.keys import PublicKey
from core.canonical import Json, parse_json_strictly
from core.errors import GateError

KEY_SET_LIMIT: Final = 2**20


class KeysUnusable(GateError):
    """What should be a key set is none that anything can be verified by."""

    code = "keys_unusable"


@dataclass(frozen=True)
class KeySet:
    """Public keys by id. `foreign`: ids of keys of other kinds, by which nothing is verified."""

    trusted: Mapping[str, PublicKey] = field(default_factory=dict)
    retired: Mapping[str, PublicKey] = field(default_factory=dict)
    foreign: frozenset[str] = frozenset()

    def __or__(self, other: "KeySet") -> "KeySet":
        """The keys of both; what either holds for retired is."""
        retired = {**self.retired, **other.retired}
        trusted = {**self.trusted, **other.trusted}
        return KeySet(
            {kid: key for kid, key in trusted.items() if kid not in retired},
            retired,
            self.foreign | other.foreign,
        )


def jwk(key: PublicKey, *, created_at: str, retired_at: str | None = None) -> dict[str, Json]:
    """One key as it is published."""
    entry: dict[str, Json] = {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": encode_url(key.raw),
        "kid": key.id,
        "use": "sig",
        "created_at": created_at,
    }
    return entry if retired_at is None else {**entry, "retired_at": retired_at}


def parse_key_set(data: bytes) -> KeySet:
    """Raises `KeysUnusable`: for what is no key set, and for one that cannot be a gate's own.

    Keys of other kinds are passed over, as RFC 7517 asks. An Ed25519 key must go by the digest of
    its bytes, and hold nothing private.
    """
    if len(data) > KEY_SET_LIMIT:
        raise KeysUnusable(f"the key set has over {KEY_SET_LIMIT} bytes")
    try:
        document = parse_json_strictly(data)
    except ValueError as error:
        raise KeysUnusable(f"the key set is not JSON that can be relied on: {error}") from error
    if not isinstance(document, dict) or "keys" not in document:
        raise KeysUnusable(
            "it is no JSON Web Key Set: give what /.well-known/safelora-gate/keys answers"
        )
    listed = _entries(document["keys"])
    marked = [entry for entry in listed if entry.get("retired_at") is not None]
    retired, strange = _keys([*_entries(document.get("retired", [])), *marked])
    trusted, foreign = _keys(entry for entry in listed if entry.get("retired_at") is None)
    return KeySet(trusted, {}, foreign | strange) | KeySet({}, retired)


def _entries(found: Any) -> Sequence[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise KeysUnusable("the key set's lists hold JSON objects alone")
    return found


def _keys(entries: Iterable[dict[str, Any]]) -> tuple[dict[str, PublicKey], frozenset[str]]:
    keys: dict[str, PublicKey] = {}
    foreign = set()
    for entry in entries:
        kid = entry.get("kid")
        if (entry.get("kty"), entry.get("crv")) != ("OKP", "Ed25519"):
            foreign.add(kid if isinstance(kid, str) else "")
            continue
        key = _key(entry)
        if kid != key.id:
            raise KeysUnusable(
                f"a key of the set does not go by its digest, which is {key.id}: fetch the set anew"
            )
        keys[key.id] = key
    return keys, frozenset(foreign - {""})


def _key(entry: Mapping[str, Any]) -> PublicKey:
    if "d" in entry:
        raise KeysUnusable(
            "the key set holds a private key: whoever has seen it can sign. Retire that key"
        )
    x = entry.get("x")
    try:
        return PublicKey(decode_url(x if isinstance(x, str) else ""))
    except ValueError as error:
        raise KeysUnusable(f"a key of the set cannot be read: {error}") from error
