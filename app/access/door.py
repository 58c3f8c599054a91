"""The door: requests come in with a key, or on a machine of one's own from loopback."""

import hashlib
import hmac
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access.at_once import AtOnce, lasting
from app.access.callers import Caller
from app.access.failures import Failures
from app.access.keyring import Keyring
from app.access.loopback import check_loopback
from app.access.rates import RequestRates
from app.api import docs
from app.problems import problem_of
from app.services import Services
from core.errors import GateError, StoreError, Unauthorized
from core.keys import KeyRecord, key_id
from core.scopes import SCOPES

_ALIVE = "/livez"  # says nothing of anyone, and must not need the store
_OPEN_PATHS = frozenset(
    {
        *("/readyz", "/version", "/openapi.json", "/.well-known/safelora-gate/keys"),
        *("/docs", docs.SCRIPT, docs.STYLE, docs.ICON),
    }
)
_SIGNED_PATHS = "/v1/hooks/"  # no key: what comes there is let in by its sender's signature
_NOBODYS: Final = "0" * 64  # compared with where there is no key of an id


_ANYONE_HERE = Caller("default", "loopback", frozenset(SCOPES))


class AccessMiddleware:
    """Lets a request in only with a caller, kept in its state, or to an open path; and of a tenant
    no more at a time than it may send.

    Without keys a page in the operator's browser is the danger (DNS rebinding), so Host and
    Origin must be loopback too, whatever the path. While the store cannot say whether there are
    keys, or whose one is, nobody is let in.
    """

    def __init__(
        self, app: ASGIApp, services: Services, rates: RequestRates, failures: Failures
    ) -> None:
        self._app = app
        self._keys = services.settings.access.keys
        self._keyring = Keyring(services.store)
        self._failures = failures
        self._rates = rates
        self._at_once = AtOnce(services.settings)

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
                return await problem_of(error)(scope, receive, send)
            return await self._app(scope, receive, send)

    async def _identify(self, scope: Scope) -> Caller | None:
        if scope["path"] == _ALIVE:
            return None
        is_open = scope["path"] in _OPEN_PATHS
        headers = Headers(scope=scope)
        guarded = await self._guarded(is_open)
        if not guarded:
            check_loopback(address_of(scope), headers)
        if scope["path"].startswith(_SIGNED_PATHS):
            return None
        if not guarded:
            scope["state"]["holder"] = _ANYONE_HERE
            return _ANYONE_HERE
        if is_open:
            return None
        token = _token(headers)
        address = address_of(scope)
        holder = None if token is None else await self._holder(scope, token, address)
        if holder is None:
            raise self._failures.counted(
                address,
                Unauthorized("send Authorization: Bearer followed by a key of this service, once"),
            )
        return holder

    async def _guarded(self, is_open: bool) -> bool:
        """Whether there are keys. An open path is answered without knowing: readiness says what is
        wrong with the store."""
        if self._keys:
            return True
        try:
            return await self._keyring.exist()
        except StoreError:
            if is_open:
                return True
            raise

    async def _holder(self, scope: Scope, token: str, address: str) -> Caller | None:
        """Whose key it is, None if nobody's. Every key is compared, so that time tells nothing."""
        sent = hashlib.sha256(token.encode()).hexdigest()
        fitting = [key for key in self._keys if hmac.compare_digest(sent, key.sha256)]
        if fitting:
            key = fitting[0]
            scope["state"]["holder"] = holder = Caller(key.tenant, key.id, key.scopes)
            return holder
        asked = key_id(token)
        if asked is None:
            return None
        if not self._keyring.has_seen(asked) and self._failures.seconds_to_wait(address):
            return None  # without a look into the store: that is what a flood would cost
        record = await self._keyring.record(asked)
        right = hmac.compare_digest(sent, _NOBODYS if record is None else record.sha256)
        if record is None or not right:
            return None
        scope["state"]["holder"] = holder = Caller(
            record.tenant, record.id, frozenset(record.scopes)
        )
        lapsed = _lapsed(record)
        if lapsed is not None:
            raise self._failures.counted(address, lapsed)
        return holder


def _lapsed(record: KeyRecord) -> Unauthorized | None:
    match record.state(datetime.now(UTC)):
        case "revoked":
            words = f"this key was revoked at {record.revoked_at}: use another one"
            return Unauthorized(words, code="key_revoked")
        case "expired":
            words = f"this key has expired at {record.expires_at}: use another one"
            return Unauthorized(words, code="key_expired")
        case _:
            return None


def address_of(scope: Scope) -> str:
    """Where the request comes from; empty where that cannot be known."""
    address: str = (scope.get("client") or ("",))[0]
    return address


def _token(headers: Headers) -> str | None:
    """What stands for the key in the one Authorization header: of two, readers take another."""
    sent = headers.getlist("authorization")
    scheme, _, token = (sent[0] if len(sent) == 1 else "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
