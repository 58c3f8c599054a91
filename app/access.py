"""Who is calling: API keys, or on a machine of one's own anyone on loopback."""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.problems import problem_of
from core.errors import Forbidden, GateError, Unauthorized
from core.settings import AccessSettings, ApiKey

JOBS = "jobs"
ALIGNMENTS = "alignments"
POLICY_OVERRIDE = "policy:override"
WEBHOOKS = "webhooks"

_OPEN_PATHS = frozenset(
    {"/livez", "/readyz", "/version", "/docs", "/openapi.json", "/.well-known/safelora-gate/keys"}
)
_SIGNED_PATHS = "/v1/hooks/"  # no key: what comes there is let in by its sender's signature
_LOOPBACK = r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?"
_LOOPBACK_HOST = re.compile(_LOOPBACK, re.IGNORECASE)


@dataclass(frozen=True)
class Caller:
    """Whoever sent the request: whose jobs they are, and what they may do."""

    tenant: str
    key_id: str
    scopes: frozenset[str]


_ANYONE_HERE = Caller(
    "default", "loopback", frozenset({JOBS, ALIGNMENTS, POLICY_OVERRIDE, WEBHOOKS})
)


class AccessMiddleware:
    """Lets a request in only with a caller, kept in its state, or to an open path.

    Without keys a page in the operator's browser is the danger (DNS rebinding), so Host and
    Origin must be loopback too, whatever the path.
    """

    def __init__(self, app: ASGIApp, settings: AccessSettings) -> None:
        self._app = app
        self._keys = settings.keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                scope.setdefault("state", {})["caller"] = self._identify(scope)
            except GateError as error:
                return await problem_of(error)(scope, receive, send)
        return await self._app(scope, receive, send)

    def _identify(self, scope: Scope) -> Caller | None:
        headers = Headers(scope=scope)
        if not self._keys:
            _check_loopback(scope, headers)
            return _ANYONE_HERE
        if scope["path"] in _OPEN_PATHS or scope["path"].startswith(_SIGNED_PATHS):
            return None
        return _holder(headers.get("authorization"), self._keys)


def _check_loopback(scope: Scope, headers: Headers) -> None:
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    if not (
        is_loopback((scope.get("client") or ("",))[0])
        and len(hosts) == 1
        and _LOOPBACK_HOST.fullmatch(hosts[0])
        and all(origin.lower() == f"http://{hosts[0].lower()}" for origin in origins)
    ):
        raise Forbidden(
            "no keys are configured, so only this machine is served, at localhost: configure"
            " SAFELORA_ACCESS__KEYS to serve others",
            code="loopback_only",
        )


def is_loopback(host: str) -> bool:
    """True for `localhost` and for addresses that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _holder(authorization: str | None, keys: list[ApiKey]) -> Caller:
    """The key's holder. Every key is compared, so that time tells nothing."""
    scheme, _, token = (authorization or "").partition(" ")
    sent = hashlib.sha256(token.strip().encode()).hexdigest()
    fitting = [key for key in keys if hmac.compare_digest(sent, key.sha256)]
    if scheme.lower() != "bearer" or not fitting:
        raise Unauthorized("send Authorization: Bearer followed by a key of this service")
    key = fitting[0]
    return Caller(key.tenant, key.id, key.scopes)


def caller_with(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    """The caller, as a dependency. Raises `Forbidden` without `scope`."""

    async def caller(request: Request) -> Caller:
        found = await caller_of(request)
        if scope not in found.scopes:
            raise Forbidden(
                f"this key lacks the scope {scope}: use one that has it",
                code="scope_missing",
                scope=scope,
            )
        return found

    return caller


async def caller_of(request: Request) -> Caller:
    found: Caller = request.state.caller
    return found


JobsCaller = Annotated[Caller, Depends(caller_with(JOBS))]
AlignmentsCaller = Annotated[Caller, Depends(caller_with(ALIGNMENTS))]
WebhooksCaller = Annotated[Caller, Depends(caller_with(WEBHOOKS))]
AnyCaller = Annotated[Caller, Depends(caller_of)]
