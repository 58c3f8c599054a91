"""Examples for the API's documentation: an attestation, and the keys it is verified with."""

from typing import Any, Final

from app.examples import JOB
from core.attestation.base64s import encode
from core.canonical import canonical_json

_KID: Final = "518d0a40c572fa429c5b4ca155684685f7d020b3c21652ff6a870b4dbd438b8c"

KEY_SET: Final[dict[str, Any]] = {
    "keys": [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "741okoaKV7qGaxhAxqdj0zIAil5Qo6S8pSkv7GaVJUI",
            "kid": _KID,
            "use": "sig",
            "created_at": "2026-11-23T08:00:00.000Z",
        }
    ],
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

ATTESTATION: Final[dict[str, Any]] = {
    "payload": encode(canonical_json(STATEMENT)),
    "payloadType": "application/vnd.in-toto+json",
    "signatures": [
        {
            "keyid": _KID,
            "sig": "KWyePPUnRNcQOWvDv2BMxr66o3ZUPi03LIjGYlfvCV+6"
            "tll5RGIpEg0E4gVQ+4xlF3Oueoj3oVYOtt907oTtAg==",
        }
    ],
}

NOT_ATTESTED: Final[dict[str, Any]] = {
    "type": "urn:safelora-gate:problem:not_attested",
    "title": "Not Found",
    "status": 404,
    "detail": "the gate had no signing key when it made this result: post the adapter again, if it"
    " has one now",
    "code": "not_attested",
}
