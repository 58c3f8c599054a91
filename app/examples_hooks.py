"""Examples of the webhooks for the API's documentation."""

from typing import Any, Final

from app.examples import JOB
from app.problems import MEDIA_TYPE

EVENT: Final[dict[str, Any]] = {
    "object": "event",
    "id": "evt_685c059ae3a481909bdc86819b066fb6",
    "type": "fine_tuning.job.succeeded",
    "created_at": 1795804200,
    "data": {"id": "ftjob-2041"},
}
RECORDS: Final[dict[str, Any]] = {
    "Records": [
        {
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": "uploads"},
                "object": {"key": "in/ft-2041/adapter_model.safetensors"},
            },
        }
    ]
}
IGNORED: Final[dict[str, Any]] = {"ignored": "the rule wants another type"}
WAITING: Final[dict[str, Any]] = {"waiting": "adapter_config.json"}
SEVERAL: Final[dict[str, Any]] = {"jobs": [JOB], "others": [WAITING]}

_PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}
_SIGNATURE_INVALID: Final[dict[str, Any]] = {
    "type": "urn:safelora-gate:problem:hook_signature_invalid",
    "title": "Unauthorized",
    "status": 401,
    "detail": "the event is not signed as this source's events are: check the secret on both sides",
    "code": "hook_signature_invalid",
}
_NOT_FOUND: Final[dict[str, Any]] = {
    "type": "urn:safelora-gate:problem:hook_not_found",
    "title": "Not Found",
    "status": 404,
    "detail": "there is no such source of events: see SAFELORA_HOOKS",
    "code": "hook_not_found",
}


def _refusal(description: str, example: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": _PROBLEM, "example": example}},
    }


HOOK_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "the event as its sender makes it, 1 MiB at most",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "examples": {
                    "standard": {"summary": "Standard Webhooks", "value": EVENT},
                    "s3": {"summary": "an object store", "value": RECORDS},
                },
            }
        },
    }
}
_NO_JOB: Final = {
    "ignored": {"summary": "not for this rule", "value": IGNORED},
    "waiting": {"summary": "an adapter that is not whole yet", "value": WAITING},
}
RECEIVED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "No job is meant, or it has ended already",
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        {"$ref": f"#/components/schemas/{name}"}
                        for name in ("NoJobView", "JobView", "EventView")
                    ]
                },
                "examples": _NO_JOB,
            }
        },
    },
    202: {
        "description": "Accepted: kept, whatever happens",
        "headers": {"Location": {"schema": {"type": "string"}, "description": "the job"}},
        "content": {"application/json": {"example": JOB}},
    },
    401: _refusal(
        "No signature that fits (`hook_signature_invalid`), or one of more than five minutes ago or"
        " ahead (`hook_timestamp_outside`)",
        _SIGNATURE_INVALID,
    ),
    404: _refusal("No source of this name", _NOT_FOUND),
}
