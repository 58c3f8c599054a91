"""Examples for the API's documentation: an attestation, and the keys it is verified with."""

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.description.examples import JOB
from core.attestation.envelope import seal
from core.attestation.key_set import jwk
from core.attestation.keys import SigningKey
from core.canonical import canonical_json

# Known to everybody, and published by no gate.
_KEY: Final = SigningKey(Ed25519PrivateKey.from_private_bytes(b"an example, and nobody's secret."))

KEY_SET: Final[dict[str, Any]] = {
    "keys": [jwk(_KEY.public, created_at="2026-11-23T08:00:00.000Z")],
    "retired": [],
}

STATEMENT: Final[dict[str, Any]] = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [
        {
            "name": "adapter_config.json",
            "digest": {
                "sha256": "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"
            },
            "annotations": {"size": 604},
        },
        {
            "name": "adapter_model.safetensors",
            "digest": {
                "sha256": "53c234e5e8472b6ac51c1ae1cab3fe06fad053beb8ebfd8977b010655bfdd3c3"
            },
            "annotations": {"size": 3702416},
        },
        {
            "name": "report.json",
            "digest": {
                "sha256": "1121cfccd5913f0a63fec40a6ffd44ea64f9dc135c66634ba001d10bcf4302a2"
            },
            "annotations": {"size": 41877},
        },
    ],
    "predicateType": "urn:safelora-gate:sanitization:v1",
    "predicate": {
        "input": JOB["input"],
        "alignment": {"id": JOB["alignment"]["id"], "name": JOB["alignment"]["name"]},
        "policy": JOB["policy"],
        "engine": {"name": "safelora-gate", "version": "0.2.0"},
        "verdict": JOB["verdict"],
        "summary": JOB["summary"],
        "recipe": "2d711642b726b04401627ca9fbac32f5c8530fb1",
    },
}

ATTESTATION: Final[dict[str, Any]] = seal(canonical_json(STATEMENT), _KEY).model_dump()
