"""Examples of uploads for the API's documentation."""

from typing import Any, Final

_ID: Final = "7h2k9m4p6q8r0s1t3v5w7x9y2z"
_OWN: Final = f"/v1/uploads/{_ID}"

UPLOAD: Final[dict[str, Any]] = {
    "id": _ID,
    "source": f"upload:{_ID}",
    "created_at": "2026-11-27T09:30:00.000Z",
    "expires_at": "2026-11-28T09:30:00.000Z",
    "received": False,
    "files": [
        {
            "name": "adapter_model.safetensors",
            "size": 3702288,
            "sha256": None,
            "received": False,
            "put": {
                "url": f"https://s3.example.com/gate/tenants/acme/uploads/{_ID}/files/"
                "adapter_model.safetensors?X-Amz-Signature=9b1e",
                "headers": {"Content-Length": "3702288"},
            },
            "parts": None,
        },
        {
            "name": "adapter_config.json",
            "size": 912,
            "sha256": None,
            "received": True,
            "put": None,
            "parts": None,
        },
    ],
    "links": {"self": _OWN, "complete": f"{_OWN}/complete"},
}
