"""Every error as an RFC 9457 problem document: a stable code, and what to do about it."""

import json
import logging
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match

from core.errors import (
    AdapterRejected,
    GateError,
    QueueError,
    QueueFull,
    StoreError,
    TooManyRequests,
)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5

_log = logging.getLogger(__name__)
HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
OTHER_HTTP_CODE = "http_error"
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_HTTP_DETAILS = {
    404: "there is nothing at this address: see /docs",
    405: "this address does not take that method: see the Allow header",
    413: "the request body is larger than is accepted here",
}
_OURS = {
    "store_unavailable": "the object store does not answer as it should: try again",
    "record_unreadable": "a stored record cannot be read: ask the operator, whose log names it",
    "queue_unavailable": "the queue does not answer: try again",
    "scratch_unavailable": "the gate's disk takes no upload now: try again",
    "source_unavailable": "the source does not answer: try again",
}


class Problem(BaseModel):
    """An error (RFC 9457). Further members name the field, the member or the choices."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    details: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response for one error. `details` become members of their own, never replace others."""
    document = jsonable_encoder(details or {}) | {
        "type": f"urn:safelora-gate:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    retry = {"Retry-After": str(RETRY_SECONDS)} if status in (429, 503) else {}
    return Response(
        json.dumps(document, allow_nan=False),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers={**retry, **(headers or {})},
    )


def problem_of(error: GateError) -> Response:
    """The caller's errors in full, and those that are nobody's; of ours only the code, and a
    reference to the log."""
    if isinstance(error, QueueFull | TooManyRequests):
        # Closed, since many clients send a body to its end before they read the answer.
        headers = {"Retry-After": str(error.retry_after), "Connection": "close"}
        return problem(error.status, error.code, error.message, headers=headers)
    if error.status < 500:
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
        if isinstance(error, AdapterRejected):  # known before the body has come to its end
            headers = {"Connection": "close"}
        return problem(
            error.status, error.code, error.message, details=error.details, headers=headers
        )
    return _ours(error, error.status, error.code)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""
    app.add_exception_handler(GateError, _gate_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)


async def _gate_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, GateError)  # noqa: S101  (as registered)
    return problem_of(error)


def validation_problem(error: RequestValidationError) -> Response:
    """Where and why, without the input: it may hold what its sender wants nobody to see."""
    problems = [
        {"field": ".".join(map(str, item["loc"])), "why": item["msg"]} for item in error.errors()
    ]
    detail = "; ".join(f"{item['field']}: {item['why']}" for item in problems)
    return problem(422, "validation_failed", detail, details={"problems": problems})


async def _validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  (as registered)
    return validation_problem(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  (as registered)
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {**(headers or {}), "Allow": _allowed(request)}
    code = HTTP_CODES.get(error.status_code, OTHER_HTTP_CODE)
    detail = _HTTP_DETAILS.get(error.status_code, error.detail)
    return problem(error.status_code, code, detail, headers=headers)


def _allowed(request: Request) -> str:
    """Every method of the address, where the framework names those of one route alone."""

    def takes(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return ", ".join(filter(takes, _METHODS))


async def _gone(_: Request, __: Exception) -> Response:
    """The client went away: nobody reads this."""
    return problem(400, "client_disconnected", "the request ended before its body did: send again")


async def _unexpected(request: Request, error: Exception) -> Response:
    """Sent past the middlewares, so what they add to every answer is added here."""
    response = fault(error)
    response.headers["X-Request-Id"] = request.state.request_id
    return response


def fault(error: Exception) -> Response:
    """Of what nobody foresaw: a reference, under which the log has the rest."""
    return _ours(error, 500, GateError.code)


def _ours(error: Exception, status: int, code: str) -> Response:
    reference = secrets.token_hex(8)
    told = isinstance(error, StoreError | QueueError)  # what went wrong is no fault in our code
    _log.error("%s (%s), reference %s", error, code, reference, exc_info=None if told else error)
    words = _OURS.get(code, "the gate failed: try again, and report the reference if it stays")
    return problem(
        status, code, f"{words} (reference {reference})", details={"reference": reference}
    )
