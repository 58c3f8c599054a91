"""What of HTTP is audited: changes, downloads of adapters, and refusals."""

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from fastapi.routing import iter_route_contexts
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.routing import BaseRoute, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.audit import AuditLog
from app.problems import MEDIA_TYPE
from core.alignments import NAME_PATTERN
from core.jobs import JOB_ID_PATTERN, JobRequest
from core.observing.context import REQUEST_ID_PATTERN, belonging
from core.webhooks.endpoints import WEBHOOK_ID_PATTERN

REQUEST_ID: Final = "X-Request-Id"
_TENANTS: Final = "/v1/"
_KEPT_BY_NOBODY: Final = {
    "Cache-Control": "private, no-store",  # with a session there is no Authorization to say so
    "X-Content-Type-Options": "nosniff",
}
_PLAIN_ID = re.compile(
    rf"(?!slg_){REQUEST_ID_PATTERN}"
)  # and no key of ours, sent there by mistake
_LOCATION = re.compile(r"/v1/(jobs|alignments|uploads|webhooks)/([^/?#]+)")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_REFUSALS = frozenset({401, 403, 429})
_VERBS: Final = {
    "GET": "read",
    "HEAD": "read",
    "POST": "create",
    "PUT": "replace",
    "PATCH": "change",
    "DELETE": "delete",
}
_MADE: Final = frozenset({"secret"})  # words that a POST makes, where others are what it does
_FORMS: Final = {
    "jobs": ("job_id", JOB_ID_PATTERN),
    "alignments": ("name", NAME_PATTERN),
    "uploads": ("upload_id", JOB_ID_PATTERN),
    "webhooks": ("webhook_id", WEBHOOK_ID_PATTERN),
}
"""By the first word of a path: the parameter that names the thing, and its form."""


@dataclass(frozen=True)
class _Operation:
    """What a request asks for (`jobs.create`, `jobs.cancel`, `jobs.adapter.read`, …), and which
    things it names by kind: `jobs`, `alignments`, …"""

    action: str = "none"
    named: Mapping[str, str] = field(default_factory=dict)


class AuditMiddleware:
    """Gives every request an id, and has each that is to be audited on a line before it is
    answered."""

    def __init__(self, app: ASGIApp, audit: AuditLog) -> None:
        self._app = app
        self._audit = audit
        self._routes: _Routes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        held: Message | None = None  # the start of a problem, whose code stands in its body
        answered = False

        async def answer(message: Message) -> None:
            nonlocal held, answered
            if message["type"] == "http.response.start":
                answered = True
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                if scope["path"].startswith(_TENANTS):
                    for name, value in _KEPT_BY_NOBODY.items():
                        headers.setdefault(name, value)
                if Headers(raw=message["headers"]).get("content-type") == MEDIA_TYPE:
                    held = message
                    return
                await self._write(scope, message, None)
            elif held is not None:
                start, held = held, None
                await self._write(scope, start, _code(message.get("body", b"")))
                await send(start)
            await send(message)

        try:
            with belonging(request_id=request_id):
                await self._app(scope, receive, answer)
        except Exception:
            if not answered:
                await self._write(scope, {"status": 500, "headers": []}, "internal_error")
            raise

    async def _write(self, scope: Scope, start: Message, code: str | None) -> None:
        status: int = start["status"]
        if not self._audit.is_on:
            return
        if self._routes is None:
            self._routes = _Routes(scope["app"].routes)
        operation = self._routes.operation(scope, start)
        reading = scope["method"] in _READING
        taken = reading and ".adapter" in operation.action and status < 400
        if reading and not taken and status not in _REFUSALS:
            return
        state = scope["state"]
        code = code or state.get("code")  # of an answer that is a page
        holder = state.get("holder")
        client = scope.get("client")
        fields = {
            "tenant": holder and holder.tenant,
            "key": holder and holder.key_id,
            "status": status,
            "code": code,
            "below_floor": ", ".join(state.get("below_floor", ())) or None,
            **{kind.removesuffix("s"): name for kind, name in operation.named.items()},
            "client": client[0] if client else None,
            "request": state["request_id"],
        }
        await run_in_threadpool(self._audit.write, operation.action, fields)


def tell_below_floor(request: Request, jobs: Iterable[JobRequest]) -> None:
    """Have this request's line say in which fields a policy of theirs is below its floor."""
    request.state.below_floor = sorted({field for job in jobs for field in job.below_floor})


class _Routes:
    """The gate's own routes, for requests that were refused before they came to one."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._routes = [
            (context.methods or set(), compile_path(context.path)[0], context.path)
            for context in iter_route_contexts(list(routes))
            if context.path is not None
        ]

    def operation(self, scope: Scope, start: Message) -> _Operation:
        """Of what the client sent only what has the form of an id or a name; of what the gate
        answers, the thing that it made."""
        method: str = scope["method"]
        for methods, pattern, template in self._routes:
            match = pattern.match(scope["path"]) if method in methods else None
            if match is not None:
                location = Headers(raw=start["headers"]).get("location", "")
                made = _LOCATION.fullmatch(location)
                named = _named(template, match.groupdict()) | (
                    _formed(made[1], made[2]) if made else {}
                )
                return _Operation(_action(method, template), named)
        return _Operation()


def _named(template: str, parameters: Mapping[str, str]) -> dict[str, str]:
    words = template.split("/")
    kind = words[2] if len(words) > 2 else ""
    parameter, _ = _FORMS.get(kind, ("", ""))
    return _formed(kind, parameters[parameter]) if parameter in parameters else {}


def _action(method: str, template: str) -> str:
    """`POST /v1/jobs` is `jobs.create`; a word after the resource is what is done to it, or a part
    of it: `jobs.cancel`, `jobs.adapter.read`."""
    words = [word for word in template.split("/") if word and word[0] != "{" and word != "v1"]
    if method != "POST" or len(words) == 1 or words[-1] in _MADE:
        words.append(_VERBS.get(method, method.lower()))
    return ".".join(words)


def _formed(kind: str, text: str) -> dict[str, str]:
    """Nothing for what cannot be the name of such a thing."""
    return {kind: text} if re.fullmatch(_FORMS[kind][1], text) else {}


def _request_id(headers: Headers) -> str:
    """The caller's own, if it sent one of a plain form; else a new one."""
    sent = headers.getlist(REQUEST_ID)
    if len(sent) == 1 and _PLAIN_ID.fullmatch(sent[0]):
        return sent[0]
    return secrets.token_hex(16)


def _code(body: bytes) -> str | None:
    try:
        return str(json.loads(body)["code"])
    except (ValueError, KeyError, TypeError):
        return None
