"""Browsers that were signed in with a key: a cookie stands for it, and for what Redis keeps of it.

The cookie's token is random. What Redis has of a session lies under a digest of the token, sealed
with another one, so whoever reads Redis can neither take a session over nor learn of a key.
"""

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from typing import Final

from cryptography.fernet import Fernet, InvalidToken
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope

from app.access.holders import Fingerprint
from core.errors import Forbidden
from core.redis_errors import redis_errors
from core.settings import Settings

_PLAIN: Final = "safelora-session"
_HOST_BOUND: Final = "__Host-safelora-session"
_CONNECTIONS: Final = 8
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Sessions:
    """For one event loop. All methods that ask Redis may raise `QueueError`."""

    def __init__(self, settings: Settings) -> None:
        self._prefix = f"safelora:sessions:{settings.queue.name}:"
        self._seconds = round(settings.access.session_hours * 3600)
        self._redis = Redis.from_pool(
            BlockingConnectionPool.from_url(
                settings.redis.url.get_secret_value(),
                max_connections=_CONNECTIONS,
                timeout=settings.redis.answer_timeout,
                socket_connect_timeout=settings.redis.connect_timeout,
                socket_timeout=settings.redis.answer_timeout,
                retry=Retry(NoBackoff(), 1),
            )
        )

    async def begin(self, key: Fingerprint) -> str:
        """The token of a new session, which lasts as long as the setting says, used or not."""
        token = secrets.token_urlsafe(32)
        sealed = _seal(token).encrypt(json.dumps([key.sha256, key.id]).encode())
        with redis_errors():
            await self._redis.set(self._place(token), sealed, ex=self._seconds)
        return token

    async def key(self, token: str) -> Fingerprint | None:
        """The key that the session was begun with; None if it is over, or none of ours."""
        with redis_errors():
            sealed = await self._redis.get(self._place(token))
        try:
            sha256, key_id = json.loads(_seal(token).decrypt(sealed or b""))
        except InvalidToken:
            return None
        return Fingerprint(sha256, key_id)

    async def end(self, token: str) -> None:
        with redis_errors():
            await self._redis.delete(self._place(token))

    async def close(self) -> None:
        await self._redis.aclose()

    def _place(self, token: str) -> str:
        return self._prefix + hashlib.sha256(b"place\n" + token.encode()).hexdigest()


def session_token(scope: Scope) -> str | None:
    """What the browser sent of its session, if it sent anything."""
    sent = ";".join(Headers(scope=scope).getlist("cookie"))
    return cookie_parser(sent).get(_cookie_name(scope))


def set_session(response: Response, scope: Scope, token: str) -> None:
    """For as long as the browser is open, for this host alone, and for no script."""
    response.set_cookie(
        _cookie_name(scope), token, httponly=True, secure=_is_secure(scope), samesite="lax"
    )


def drop_session(response: Response, scope: Scope) -> None:
    response.delete_cookie(
        _cookie_name(scope), httponly=True, secure=_is_secure(scope), samesite="lax"
    )


def check_same_origin(scope: Scope) -> None:
    """Raises `Forbidden` (`cross_site`) unless what changes anything was sent by a page of ours:
    browsers send the cookie along with what other sites' pages send, too."""
    if scope["method"] in _READING:
        return
    headers = Headers(scope=scope)
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    if sites:  # which no script can set, and which a proxy's other Host does not mislead
        same = sites == ["same-origin"]
    else:
        hosts = headers.getlist("host")
        same = len(hosts) == 1 and [o.partition("://")[2].lower() for o in origins] == [
            hosts[0].lower()
        ]
    if not same:
        raise Forbidden(
            "a signed-in browser may send this from the gate's own page only: open the page, or"
            " send a key as Authorization: Bearer",
            code="cross_site",
        )


def _seal(token: str) -> Fernet:
    return Fernet(urlsafe_b64encode(hashlib.sha256(b"seal\n" + token.encode()).digest()))


def _cookie_name(scope: Scope) -> str:
    """Under TLS one that no neighbour under the same domain can set (RFC 6265bis, `__Host-`)."""
    return _HOST_BOUND if _is_secure(scope) else _PLAIN


def _is_secure(scope: Scope) -> bool:
    return bool(scope["scheme"] == "https")
