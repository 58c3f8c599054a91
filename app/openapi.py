"""What FastAPI cannot see for itself: bodies that are streamed, and the problem documents."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.examples import (
    EVENT_STREAM,
    INPUT_EXPIRED,
    JOB_ENDED,
    JOB_NOT_ENDED,
    JOB_NOT_RETRYABLE,
    PROBLEM,
    QUEUE_FULL,
    RESULT_EXPIRED,
)
from app.examples_attestation import ATTESTATION, NOT_ATTESTED
from app.openapi_webhooks import MESSAGES
from app.problems import MEDIA_TYPE

_SCHEMAS = "#/components/schemas/"
_FILE: Final = {"type": "string", "contentMediaType": "application/octet-stream"}
_METADATA: Final = {"type": "object", "additionalProperties": {"type": "string"}}

_FORM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "adapter and config, or archive alone",
    "properties": {
        "adapter": {**_FILE, "description": "adapter_model.safetensors"},
        "config": {**_FILE, "description": "adapter_config.json"},
        "archive": {**_FILE, "description": "both files in a .zip, .tar, .tar.gz or .tar.zst"},
        "alignment": {
            "type": "string",
            "description": "absent: found by base_model_name_or_path of the config",
        },
        "policy": {"$ref": f"{_SCHEMAS}Policy"},
        "metadata": _METADATA,
        "destination": {
            "type": "string",
            "description": "s3://bucket/folder/ that the result is brought to as well",
        },
        "callback_url": {"type": "string", "description": "https://… that is told how it ended"},
    },
    "additionalProperties": False,
}

JOB_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": _FORM,
                "encoding": {
                    "policy": {"contentType": "application/json"},
                    "metadata": {"contentType": "application/json"},
                },
            },
            "application/json": {
                "schema": {"$ref": f"{_SCHEMAS}JobOrder"},
                "example": {
                    "source": "s3://adapters/ft-2041/",
                    "alignment": "smollm2-135m",
                    "policy": {"selection": {"mode": "threshold", "threshold": 0.35}},
                    "metadata": {"run": "ft-2041"},
                },
            },
        },
    }
}

ALIGNMENT_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": f"{_SCHEMAS}AlignmentOrder"},
                "example": {
                    "name": "smollm2-135m",
                    "base": "/models/SmolLM2-135M",
                    "aligned": "/models/SmolLM2-135M-Instruct",
                    "base_names": ["HuggingFaceTB/SmolLM2-135M-Instruct"],
                },
            }
        },
    }
}

POLICIES_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": f"{_SCHEMAS}PoliciesOrder"},
                "example": {
                    "default_policy": {"selection": {"mode": "threshold", "threshold": 0.4}},
                    "floor": None,
                },
            }
        },
    }
}

_RETRY: Final = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
_PROBLEM: Final = {"$ref": f"{_SCHEMAS}Problem"}
_LOCATION: Final = {"Location": {"schema": {"type": "string"}, "description": "the job"}}
ACCEPTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The result is there already",
        "headers": _LOCATION,
        "content": {"application/json": {"schema": {"$ref": f"{_SCHEMAS}JobView"}}},
    },
    202: {
        "description": "Accepted: kept, whatever happens",
        "headers": _LOCATION | _RETRY,
    },
    503: {
        "description": "As many jobs wait as may (`queue_full`): nothing was read or kept, and the"
        " same request is good later. Or a part of the gate does not answer",
        "headers": _RETRY,
        "content": {MEDIA_TYPE: {"schema": _PROBLEM, "example": QUEUE_FULL}},
    },
}


def _problem(description: str, example: dict[str, Any]) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": _PROBLEM, "example": example}}
    return {"description": description, "content": content}


EXPIRED: Final[dict[int | str, dict[str, Any]]] = {
    410: _problem("The result has expired: post the adapter again", RESULT_EXPIRED)
}
ATTESTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/json": {"example": ATTESTATION}}},
    404: _problem("The result is not attested, or there is no such job", NOT_ATTESTED),
    **EXPIRED,
}
CANCELLED: Final[dict[int | str, dict[str, Any]]] = {
    409: _problem("The job ended before", JOB_ENDED)
}
RETRIED: Final[dict[int | str, dict[str, Any]]] = {
    409: _problem(
        "The job did not fail and was not cancelled (`job_not_retryable`), or its alignment is no"
        " longer registered (`alignment_removed`)",
        JOB_NOT_RETRYABLE,
    ),
    410: _problem("The job's input has expired: post the adapter again", INPUT_EXPIRED),
}
REMOVED: Final[dict[int | str, dict[str, Any]]] = {
    204: {"description": "It is gone"},
    409: _problem("The job has not ended: cancel it first", JOB_NOT_ENDED),
}
EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Server-sent events: `state` with a JobView, `progress` with a ProgressView",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": EVENT_STREAM}},
    },
    204: {"description": "The last event was seen: browsers do not connect again"},
}

_ERROR: Final[dict[str, Any]] = {
    "description": "What is wrong and what to do about it, with a stable code",
    "content": {MEDIA_TYPE: {"schema": _PROBLEM, "example": PROBLEM}},
}
_BEARER: Final = {"type": "http", "scheme": "bearer", "description": "a key of this gate"}
_METHODS = ("get", "post", "put", "patch", "delete")


def describe(app: FastAPI, *models: type[BaseModel]) -> None:
    """Complete the app's OpenAPI document, with the schemas of `models` that it refers to."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, models)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # as FastAPI's manual has it


def _document(app: FastAPI, models: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    components = document.setdefault("components", {})
    _, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=_SCHEMAS + "{model}"
    )
    components["schemas"] = definitions["$defs"] | components.get("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["securitySchemes"] = {"key": _BEARER}
    document["webhooks"] = MESSAGES
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                _complete(item[method], open_to_all=_needs_no_key(path))
    return document


def _needs_no_key(path: str) -> bool:
    return not path.startswith("/v1/") or path.startswith("/v1/hooks/")


def _complete(operation: dict[str, Any], *, open_to_all: bool) -> None:
    responses = operation["responses"]
    responses.pop("422", None)  # FastAPI's own form of a validation error, which is never sent
    responses["default"] = _ERROR
    if not open_to_all:
        operation["security"] = [{"key": []}]
