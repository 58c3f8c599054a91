"""What FastAPI cannot see for itself: bodies that are streamed, and the problem documents."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from app.description import webhook_examples as webhooks
from app.description.answers import ANY, CODES_KEY, KEYED, Answers, completed
from app.description.attestation_examples import ATTESTATION
from app.description.examples import ALIGNMENT, BUILDING, EVENT_STREAM, JOB, QUEUED, READY
from app.description.links import add_links
from app.description.policy_schema import complete_policy
from app.description.report import PREVIEW, REPORT
from app.description.upload_examples import UPLOAD
from app.description.webhooks import MESSAGES
from app.intake.metadata import Metadata
from core.codes import ANSWERS
from core.report import ENGINE_NAME, ENGINE_VERSION

_SCHEMAS = "#/components/schemas/"
_FILE: Final = {"type": "string", "contentMediaType": "application/octet-stream"}
_METADATA: Final = TypeAdapter(Metadata).json_schema()

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
    "oneOf": [
        {"required": ["adapter", "config"], "properties": {"archive": False}},
        {"required": ["archive"], "properties": {"adapter": False, "config": False}},
    ],
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
                "example": {
                    "adapter": "the bytes of adapter_model.safetensors",
                    "config": "the bytes of adapter_config.json",
                    "alignment": "smollm2-135m",
                    "metadata": {"run": "ft-2041"},
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

PREVIEW_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": f"{_SCHEMAS}PreviewOrder"},
                "example": {"selection": {"mode": "threshold", "threshold": 0.4}},
            }
        },
    }
}

_RETRY: Final = {
    "Retry-After": {
        "schema": {"type": "integer"},
        "description": "seconds until it is worth asking",
        "required": True,
    }
}


def location(of: str) -> dict[str, Any]:
    """The header that says where what was made is to be seen."""
    return {"Location": {"schema": {"type": "string"}, "description": of, "required": True}}


ACCEPTED: Final[Answers] = {
    200: {
        "description": "The result is there already",
        "headers": location("the job"),
        "content": {"application/json": {"schema": {"$ref": f"{_SCHEMAS}JobView"}}},
    },
    202: {
        "description": "Accepted: kept, whatever happens",
        "headers": location("the job") | _RETRY,
    },
}
EXAMPLES: Final[dict[str, Any]] = {
    "JobView": JOB,
    "JobList": {"jobs": [JOB], "next_cursor": JOB["id"]},
    "AlignmentView": ALIGNMENT,
    "AlignmentList": {"alignments": [ALIGNMENT]},
    "Report": REPORT,
    "PreviewView": PREVIEW,
    "Health": {"status": "ok"},
    "Readiness": READY,
    "Version": {"name": ENGINE_NAME, "engine": ENGINE_VERSION},
    "UploadView": UPLOAD,
    "Envelope": ATTESTATION,
    "WebhookView": webhooks.WEBHOOK,
    "WebhookList": {"webhooks": [webhooks.WEBHOOK]},
    "DeliveryView": webhooks.DELIVERY,
    "DeliveryList": {"deliveries": [webhooks.DELIVERY]},
    "SecretView": webhooks.SECRET,
    "SecretShown": webhooks.SECRET_SHOWN,
}
"""Of what is answered, by the name of its schema."""
_ACCEPTED_EXAMPLES: Final[dict[str, Any]] = {"JobView": QUEUED, "AlignmentView": BUILDING}
"""Where the answer is 202."""
REGISTERED: Final[Answers] = {
    200: {
        "description": "It is ready",
        "headers": location("the alignment"),
        "content": {"application/json": {"schema": {"$ref": f"{_SCHEMAS}AlignmentView"}}},
    },
    202: {"headers": location("the alignment")},
}


def _event(name: str, model: str) -> dict[str, Any]:
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": f"{_SCHEMAS}{model}"},
    }
    return {
        "type": "object",
        "required": ["event", "data"],
        "properties": {"event": {"const": name}, "data": data, "id": {"type": "string"}},
    }


_EVENT: Final = {"oneOf": [_event("state", "JobView"), _event("progress", "ProgressView")]}
EVENTS: Final[Answers] = {
    200: {
        "description": "Server-sent events: `state` with a JobView, `progress` with a ProgressView",
        "content": {"text/event-stream": {"itemSchema": _EVENT, "example": EVENT_STREAM}},
    },
    204: {"description": "The last event was seen: browsers do not connect again"},
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
    components["schemas"]["Problem"]["properties"]["code"]["enum"] = sorted(ANSWERS)
    complete_policy(components["schemas"])
    components["securitySchemes"] = {"key": _BEARER}
    document["webhooks"] = MESSAGES
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                _complete(item[method], open_to_all=_needs_no_key(path))
    add_links(document)
    return document


def _needs_no_key(path: str) -> bool:
    return path != "/metrics" and (not path.startswith("/v1/") or path.startswith("/v1/hooks/"))


def _complete(operation: dict[str, Any], *, open_to_all: bool) -> None:
    responses = operation["responses"]
    if CODES_KEY not in responses.get("422", {}):
        responses.pop("422", None)  # FastAPI's own form of an error, which is never sent
    asked = any(parameter["in"] == "query" for parameter in operation.get("parameters", []))
    common = (*ANY, *(() if open_to_all else KEYED), *(("validation_failed",) if asked else ()))
    operation["responses"] = completed(responses, common)
    for status, answer in responses.items():
        media = answer.get("content", {}).get("application/json", {})
        name = media.get("schema", {}).get("$ref", "").removeprefix(_SCHEMAS)
        examples = _ACCEPTED_EXAMPLES if status == "202" else EXAMPLES
        if name in examples:  # FastAPI leaves nulls out of those that a route gives
            media["example"] = examples[name]
    if not open_to_all:
        operation["security"] = [{"key": []}]
