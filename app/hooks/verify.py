"""How each kind of sender shows who it is: on the raw bytes, before anything is parsed."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import Headers

from core.errors import Unauthorized
from core.settings.hooks import HookRule, standard_key

TOLERANCE_SECONDS: Final = 300
MAX_SIGNATURES: Final = 16

Verifier = Callable[[Headers, bytes, float], str | None]
"""Headers, body, seconds since 1970 → the event's id, where the sender gives it one.

Raises `Unauthorized` (`hook_signature_invalid`, `hook_timestamp_outside`).
"""

_ID = re.compile(rb"[!-~]{1,255}")
_SECONDS = re.compile(rb"[0-9]{1,12}")


def verifier(rule: HookRule) -> Verifier:
    """Raises `ValueError` for a secret that cannot be read or is none."""
    secrets = rule.read_secrets()
    match rule.kind:
        case "standard":
            keys = [standard_key(secret) or b"" for secret in secrets]
            return Signed("webhook-id", "webhook-timestamp", "webhook-signature", keys)
        case "mlflow":
            keys = [secret.encode() for secret in secrets]
            return Signed("x-mlflow-delivery-id", "x-mlflow-timestamp", "x-mlflow-signature", keys)
        case "huggingface":
            return Shared("x-webhook-secret", secrets)
        case "s3":
            return Shared(rule.header, secrets) if rule.header else Bearer(secrets)
        case "eventbridge":
            return Shared(rule.header or "x-api-key", secrets)
        case "wandb":
            token = [rule.token.get_secret_value()] if rule.token else []
            return Wandb(token, secrets)


@dataclass(frozen=True)
class Signed:
    """Standard Webhooks, and what MLflow makes of it: `v1,` and the base64 of an HMAC-SHA256 over
    id, timestamp and body. Several signatures may come, separated by spaces; one has to fit."""

    id_header: str
    time_header: str
    signature_header: str
    keys: Sequence[bytes] = field(repr=False)

    def __call__(self, headers: Headers, body: bytes, now: float) -> str | None:
        event_id = _one(headers, self.id_header)
        sent_at = _one(headers, self.time_header)
        signatures = _one(headers, self.signature_header).split(b" ")
        signed = b".".join([event_id, sent_at, body])
        macs = [hmac.digest(key, signed, hashlib.sha256) for key in self.keys]
        fits = _any_equal(
            signatures[:MAX_SIGNATURES], [b"v1," + base64.b64encode(mac) for mac in macs]
        )
        sound = _ID.fullmatch(event_id) and _SECONDS.fullmatch(sent_at)
        if not (fits and sound) or len(signatures) > MAX_SIGNATURES:
            raise _refused()
        if abs(now - int(sent_at)) > TOLERANCE_SECONDS:
            raise Unauthorized(
                f"the event is signed for a time more than {TOLERANCE_SECONDS} s from now: check"
                " both clocks, and have it sent anew",
                code="hook_timestamp_outside",
            )
        return event_id.decode("ascii")


@dataclass(frozen=True)
class Shared:
    """The secret itself, bare in a header."""

    header: str
    secrets: Sequence[str] = field(repr=False)

    def __call__(self, headers: Headers, _: bytes, __: float) -> str | None:
        if not _is_one_of(_one(headers, self.header), self.secrets):
            raise _refused()
        return None


@dataclass(frozen=True)
class Bearer:
    """The secret as `Authorization: Bearer …`."""

    secrets: Sequence[str] = field(repr=False)

    def __call__(self, headers: Headers, _: bytes, __: float) -> str | None:
        scheme, _space, token = _one(headers, "authorization").partition(b" ")
        if not _is_one_of(token, self.secrets) or scheme.lower() != b"bearer":
            raise _refused()
        return None


@dataclass(frozen=True)
class Wandb:
    """An access token as bearer, an HMAC-SHA256 of the body in `X-Wandb-Signature`, or both: what
    is configured has to fit. W&B's own pages have it in hex and in base64: either will do."""

    tokens: Sequence[str] = field(repr=False)
    secrets: Sequence[str] = field(repr=False)

    def __call__(self, headers: Headers, body: bytes, now: float) -> str | None:
        if self.tokens:
            Bearer(self.tokens)(headers, body, now)
        if self.secrets:
            macs = [hmac.digest(s.encode(), body, hashlib.sha256) for s in self.secrets]
            spelled = [text for mac in macs for text in (mac.hex().encode(), base64.b64encode(mac))]
            if not _any_equal([_one(headers, "x-wandb-signature")], spelled):
                raise _refused()
        return None


def _one(headers: Headers, name: str) -> bytes:
    """The header's bytes as they came; empty without it, or where it came more than once."""
    values = headers.getlist(name)
    return values[0].encode("latin-1") if len(values) == 1 else b""


def _is_one_of(sent: bytes, secrets: Sequence[str]) -> bool:
    """By digest, so that not even the length of a secret shows in the time it takes."""
    wanted = [hashlib.sha256(secret.encode()).digest() for secret in secrets]
    return _any_equal([hashlib.sha256(sent).digest()], wanted)


def _any_equal(sent: Sequence[bytes], wanted: Sequence[bytes]) -> bool:
    """All are compared, whichever fits."""
    return True in [hmac.compare_digest(one, other) for one in sent for other in wanted]


def _refused() -> Unauthorized:
    return Unauthorized(
        "the event is not signed as this source's events are: check the secret on both sides",
        code="hook_signature_invalid",
    )
