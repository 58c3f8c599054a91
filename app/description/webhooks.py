"""What the documentation says of webhooks beside what FastAPI sees."""

from typing import Any, Final, get_args

from app.description import webhook_examples as examples
from app.description.answers import CALLED, JSON_BODY, Answers, problems
from core.webhooks.endpoints import EventType

_SCHEMAS = "#/components/schemas/"


def _body(schema: str, example: dict[str, Any]) -> dict[str, Any]:
    content = {"schema": {"$ref": f"{_SCHEMAS}{schema}"}, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def _answer(description: str, example: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"example": example}}}


_ORDERED: Final = (*JSON_BODY, *CALLED)
_HERE: Final = {"webhook_secret_missing": 409}
_UNKNOWN: Final = problems("webhook_not_found")


def _header(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {
        "name": name,
        "in": "header",
        "required": True,
        "schema": schema,
        "description": description,
    }


MESSAGES: Final[dict[str, Any]] = {
    "job.ended": {
        "post": {
            "summary": "A job has ended",
            "description": "Sent to the job's callback_url and to webhooks, in the form of Standard"
            " Webhooks, at least once; retries have the same id and the same bytes.",
            "parameters": [
                _header("webhook-id", "the same for every attempt"),
                _header("webhook-timestamp", "of this attempt, seconds since 1970"),
                _header("webhook-signature", "v1,<base64>, several apart by spaces"),
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["type", "timestamp", "data"],
                            "properties": {
                                "type": {"type": "string", "enum": list(get_args(EventType))},
                                "timestamp": {"type": "string", "format": "date-time"},
                                "data": {"type": "object"},
                            },
                        },
                        "example": examples.MESSAGE,
                    }
                },
            },
            "responses": {
                "2XX": {"description": "Taken; any body is passed over"},
                "410": {"description": "Never again: a webhook is switched off"},
            },
        }
    }
}

WEBHOOK_BODY: Final = _body("WebhookOrder", examples.ORDER)
CHANGE_BODY: Final = _body("WebhookChange", examples.CHANGE)

REGISTERED: Final[Answers] = {
    201: _answer("Registered", examples.WEBHOOK),
    **problems(*_ORDERED, "webhook_limit", at=_HERE),
}
LISTED: Final[Answers] = {200: _answer("All webhooks", {"webhooks": [examples.WEBHOOK]})}
SHOWN: Final[Answers] = {200: _answer("The webhook", examples.WEBHOOK), **_UNKNOWN}
CHANGED: Final[Answers] = {
    200: _answer("The webhook as it is now", examples.WEBHOOK | examples.CHANGE),
    **problems(*_ORDERED, "webhook_not_found", at=_HERE),
}
REMOVED: Final[Answers] = {204: {"description": "It is gone"}, **_UNKNOWN}
SECRET_MADE: Final[Answers] = {201: _answer("The secret", examples.SECRET_SHOWN)}
SECRET_TOLD: Final[Answers] = {
    200: _answer("When it was made", examples.SECRET),
    **problems("webhook_secret_missing", at={"webhook_secret_missing": 404}),
}
DELIVERIES: Final[Answers] = {
    200: _answer("All deliveries of the job", {"deliveries": [examples.DELIVERY]}),
    **problems("job_not_found"),
}
REPLAYED: Final[Answers] = {
    202: _answer(
        "An attempt is made at once",
        examples.DELIVERY | {"next_attempt_at": "2026-11-27T09:32:00.000Z"},
    ),
    **problems("webhooks_disabled", "job_not_found", "delivery_not_found", "delivery_due"),
}
