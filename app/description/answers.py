"""The error answers of an operation, for the OpenAPI document, from the catalogue of codes.

A route says `responses=problems("job_not_found", "job_ended")`. What every operation can answer is
added where the document is made.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from app.problems import MEDIA_TYPE
from core.codes import ANSWERS
from core.codes.places import DESTINATIONS

Answers = dict[int | str, dict[str, Any]]

CODES_KEY: Final = "x-codes"
PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}
SENT_BODY: Final = ("client_disconnected", "request_timeout", "too_large")
"""Of an operation that reads a body."""
JSON_BODY: Final = (*SENT_BODY, "json_invalid", "unsupported_media_type", "validation_failed")
"""Of an operation that reads a JSON body."""
IDEMPOTENT: Final = ("idempotency_key_invalid", "idempotency_key_reused")
"""Of an operation that takes an `Idempotency-Key`."""
CALLED: Final = ("url_invalid", "url_not_allowed", "webhooks_disabled", "webhook_secret_missing")
"""Of an operation that is given a URL to be called."""
SENT_AHEAD: Final = (
    *("upload_not_found", "upload_incomplete", "upload_changed", "upload_size_mismatch"),
)
"""Of an operation that makes a job of an upload."""
AGREED: Final = (
    *("alignment_unknown", "alignment_not_found", "alignment_ambiguous", "alignment_not_ready"),
    *("policy_invalid", "policy_below_floor", "alignment_rank_too_small", "alignment_not_float32"),
    *(*CALLED, *DESTINATIONS, "queue_full"),
)
"""Of an operation that makes a job of an adapter."""
AS_A_JOB: Final = {"alignment_not_found": 422, "webhook_secret_missing": 409}
"""The statuses of those that have several."""
ANY: Final = ("loopback_only", "internal_error")
"""Of every operation."""
STORED: Final = (
    *("record_unreadable", "bad_key", "bad_range"),
    *("store_unavailable", "object_missing", "object_changed", "object_exists", "range_outside"),
    "queue_unavailable",
)
"""Of every operation that reads the store."""
KEYED: Final = (
    *("unauthorized", "key_revoked", "key_expired", "too_many_failures", "rate_limited"),
    *("scope_missing", "cross_site", *STORED),
)
"""Of every operation that asks for a key: they all read the store."""

_RETRY: Final = {
    "schema": {"type": "integer", "minimum": 1},
    "description": "seconds",
    "required": True,
}
_CHALLENGE: Final = {"schema": {"type": "string"}, "required": True}
_HEADERS: Final[dict[int, dict[str, Any]]] = {
    401: {"WWW-Authenticate": _CHALLENGE},
    429: {"Retry-After": _RETRY},
    503: {"Retry-After": _RETRY},
}


def problems(*codes: str, at: dict[str, int] | None = None) -> Answers:
    """Responses by status, for a route's `responses`. `at` chooses the status of a code that has
    several. Raises `KeyError` for a code that is not in the catalogue."""
    statuses: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        chosen = (at or {}).get(code)
        for status in ANSWERS[code].statuses if chosen is None else (chosen,):
            statuses.setdefault(status, []).append(code)
    return {
        status: {"description": HTTPStatus(status).phrase, CODES_KEY: found}
        for status, found in statuses.items()
    }


def completed(responses: dict[str, Any], common: Iterable[str]) -> dict[str, Any]:
    """The responses of one operation with those of `common`, by status, each code explained."""
    whole = dict(responses)
    for status, answer in problems(*common).items():
        standing = whole.get(str(status), {CODES_KEY: []})
        codes = [*standing.get(CODES_KEY, []), *answer[CODES_KEY]]
        whole[str(status)] = answer | standing | {CODES_KEY: list(dict.fromkeys(codes))}
    for status, answer in whole.items():
        if CODES_KEY in answer:
            whole[status] = _explained(int(status), answer[CODES_KEY])
    return dict(sorted(whole.items()))


def _explained(status: int, codes: list[str]) -> dict[str, Any]:
    described = "\n".join(f"- `{code}`: {ANSWERS[code].when} {ANSWERS[code].do}" for code in codes)
    schema = {
        "allOf": [PROBLEM],
        "properties": {"status": {"const": status}, "code": {"enum": codes}},
    }
    examples = {code: {"value": _example(status, code)} for code in codes}
    answer = {
        "description": f"{HTTPStatus(status).phrase}\n\n{described}",
        "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}},
    }
    return answer | ({"headers": _HEADERS[status]} if status in _HEADERS else {})


def _example(status: int, code: str) -> dict[str, Any]:
    return {
        "type": f"urn:safelora-gate:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": f"{ANSWERS[code].when} {ANSWERS[code].do}",
        "code": code,
    }
