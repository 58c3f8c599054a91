"""Every request counted and timed, whatever comes of it."""

from time import perf_counter
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.at_once import STREAMS, UPLOADS, lasting
from core.observing.api import ApiMetrics

NO_ROUTE: Final = "none"
OTHER_METHOD: Final = "other"
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_STATIC: Final = "/static/"
_KINDS: Final = {STREAMS.code: "stream", UPLOADS.code: "upload"}
_STREAM = _KINDS[STREAMS.code]


class MeteringMiddleware:
    """Around all others. Of a path only the template of its route is told, so that no caller can
    make a new label."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        start = perf_counter()
        status, received = 500, 0
        lasts = lasting(scope)
        kind = "other" if lasts is None else _KINDS[lasts.code]

        async def taken() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with self._metrics.in_flight.labels(kind).track_inprogress():
                await self._app(scope, taken, answered)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else OTHER_METHOD
            route = _route(scope)
            self._metrics.requests.labels(method, route, status).inc()
            self._metrics.received.inc(received)
            if kind != _STREAM:
                self._metrics.seconds.labels(method, route).observe(perf_counter() - start)


def _route(scope: Scope) -> str:
    path: str = getattr(scope.get("route"), "path", NO_ROUTE)
    return _STATIC if path.startswith(_STATIC) else path
