"""The public keys that attestations are verified with: open to all, by a well-known address."""

from fastapi import APIRouter
from starlette.responses import Response

from app.description.answers import STORED, problems
from app.description.attestation_examples import KEY_SET
from app.services import Served
from app.views import View
from core.attestation.published import PublishedKeys
from core.canonical import canonical_json

WELL_KNOWN = "/.well-known/safelora-gate/keys"

router = APIRouter(tags=["attestations"])


class SigningKeyView(View):
    """An Ed25519 key as RFC 8037 has it. `kid`: SHA-256 of the public key in DER."""

    kty: str
    crv: str
    x: str
    kid: str
    use: str
    created_at: str
    retired_at: str | None = None


class KeySetView(View):
    """A JSON Web Key Set. What is signed with one of the `retired` keys no longer counts."""

    keys: list[SigningKeyView]
    retired: list[SigningKeyView]


@router.get(
    WELL_KNOWN,
    response_model=KeySetView,
    summary="The keys that attestations are verified with",
    responses={
        200: {"content": {"application/json": {"example": KEY_SET}}},
        **problems(*STORED),
    },
)
def get_keys(services: Served) -> Response:
    """A JSON Web Key Set (RFC 7517). Keep it, and fetch it anew when a key is unknown: whoever
    can change it on the way can make you believe anything."""
    content = canonical_json(PublishedKeys(services.store).as_json())
    return Response(content, media_type="application/json")
