"""Examples of the webhooks for the API's documentation."""

from typing import Any, Final

from app.description.answers import (
    AGREED,
    AS_A_JOB,
    SENT_AHEAD,
    SENT_BODY,
    STORED,
    Answers,
    problems,
)
from app.description.examples import JOB
from core.codes.adapters import SOURCES
from core.codes.webhooks import HOOKS

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
RECEIVED: Final[Answers] = {
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
    **problems(
        *(*HOOKS, *SENT_BODY, "json_invalid", *SOURCES, *SENT_AHEAD, *AGREED),
        *("scratch_unavailable", *STORED),
        *("too_many_failures", "rate_limited"),
        at=AS_A_JOB,
    ),
}
