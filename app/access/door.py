"""The door: requests come in with a key, or from a browser that was signed in with one, or on a
machine of one's own from loopback."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access.at_once import AtOnce, lasting
from app.access.callers import Caller
from app.access.failures import Failures
from app.access.holders import Fingerprint, Held, Holders
from app.access.loopback import check_loopback
from app.access.rates import RequestRates
from app.access.sessions import Sessions, check_same_origin, session_token
from app.api import docs
from app.problems import problem_of
from app.services import Services
from core.errors import GateError, StoreError, Unauthorized
from core.scopes import SCOPES

_ALIVE = "/livez"  # says nothing of anyone, and must not need the store
_OPEN_PATHS = frozenset(
    {
        *("/readyz", "/version", "/openapi.json", "/.well-known/safelora-gate/keys"),
        *("/docs", docs.SCRIPT, docs.STYLE, docs.ICON, "/favicon.ico"),
    }
)
_STATIC: Final = "/static/"  # the page's scripts and style, the same for everyone
_SIGNED_PATHS = "/v1/hooks/"  # no key: what comes there is let in by its sender's signature
_PAGES: Final = re.compile(r"/|/(alignments|sign-in|sign-out)|/jobs/.+")
"""For people: who is nobody yet is shown where to sign in."""


_ANYONE_HERE = Caller("default", "loopback", frozenset(SCOPES))
PageOf = Callable[[Request, Response], Response]


class AccessMiddleware:
    """Lets a request in only with a caller, kept in its state, or to an open path; and of a tenant
    no more at a time than it may send.

    Without keys a page in the operator's browser is the danger (DNS rebinding), so Host and
    Origin must be loopback too, whatever the path. While the store cannot say whether there are
    keys, or whose one is, nobody is let in.
    """

    def __init__(
        self,
        app: ASGIApp,
        services: Services,
        rates: RequestRates,
        failures: Failures,
        holders: Holders,
        sessions: Sessions,
        page_of: PageOf,
    ) -> None:
        self._app = app
        self._holders = holders
        self._sessions = sessions
        self._failures = failures
        self._rates = rates
        self._at_once = AtOnce(services.settings)
        self._page_of = page_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        state = scope.setdefault("state", {})
        with ExitStack() as held:
            try:
                caller = state["caller"] = await self._identify(scope)
                if caller is not None:
                    await self._rates.take(caller.tenant)
                    kind = lasting(scope)
                    if kind is not None:
                        held.enter_context(self._at_once.one_more(caller.tenant, kind))
            except GateError as error:
                return await self._refusal(scope, error)(scope, receive, send)
            return await self._app(scope, receive, send)

    async def _identify(self, scope: Scope) -> Caller | None:
        path: str = scope["path"]
        if path == _ALIVE:
            return None
        is_open = path in _OPEN_PATHS or path.startswith(_STATIC)
        headers = Headers(scope=scope)
        guarded = await self._guarded(is_open)
        if not guarded:
            check_loopback(address_of(scope), headers)
        if path.startswith(_SIGNED_PATHS):
            return None
        if not guarded:
            scope["state"]["holder"] = _ANYONE_HERE
            return _ANYONE_HERE
        if is_open:
            return None
        return await self._caller(scope, headers, is_page=_PAGES.fullmatch(path) is not None)

    async def _guarded(self, is_open: bool) -> bool:
        """Whether there are keys. An open path is answered without knowing: readiness says what is
        wrong with the store."""
        try:
            return await self._holders.exist()
        except StoreError:
            if is_open:
                return True
            raise

    async def _caller(self, scope: Scope, headers: Headers, *, is_page: bool) -> Caller | None:
        """Whose key was sent, or stands behind a session. A page says by itself what is to be done
        where it is nobody's."""
        address = address_of(scope)
        if is_page:
            check_same_origin(scope)
            held = await self._of_session(scope)
        elif "authorization" in headers:  # which says more than a cookie that comes by itself
            token = _token(headers)
            sent = None if token is None else Fingerprint.of(token)
            held = None if sent is None else await self._holders.holder(sent, address)
        else:
            held = await self._of_session(scope)
        if held is not None:
            scope["state"]["holder"] = held.caller
            if held.lapsed is None:
                return held.caller
        if is_page:
            return None
        raise self._failures.counted(
            address,
            (held and held.lapsed)
            or Unauthorized("send Authorization: Bearer followed by a key of this service, once"),
        )

    async def _of_session(self, scope: Scope) -> Held | None:
        session = session_token(scope)
        if session is None:
            return None
        check_same_origin(scope)
        key = await self._sessions.key(session)
        return None if key is None else await self._holders.holder(key, None)

    def _refusal(self, scope: Scope, error: GateError) -> Response:
        problem = problem_of(error)
        is_page = _PAGES.fullmatch(scope["path"]) is not None
        return self._page_of(Request(scope), problem) if is_page else problem


def address_of(scope: Scope) -> str:
    """Where the request comes from; empty where that cannot be known."""
    address: str = (scope.get("client") or ("",))[0]
    return address


def _token(headers: Headers) -> str | None:
    """What stands for the key in the one Authorization header: of two, readers take another."""
    sent = headers.getlist("authorization")
    scheme, _, token = (sent[0] if len(sent) == 1 else "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
