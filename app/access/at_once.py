"""How many requests that take their time each tenant has open in this process."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers, QueryParams
from starlette.types import Scope

from core.errors import TooManyRequests
from core.settings import Settings
from core.tenant_limits import stream_limit, uploads_limit

RETRY_SECONDS: Final = 5


@dataclass(frozen=True)
class Lasting:
    """A kind of request that lasts, and what one too many is told."""

    code: str
    limit: Callable[[Settings, str], int]
    what: str
    instead: str


STREAMS: Final = Lasting(
    code="too_many_streams",
    limit=stream_limit,
    what="events or long polls open",
    instead="close one, or poll without wait",
)
UPLOADS: Final = Lasting(
    code="too_many_uploads",
    limit=uploads_limit,
    what="uploads under way",
    instead="wait for one to end, or send the files ahead to the object store by /v1/uploads",
)


class AtOnce:
    """For one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def one_more(self, tenant: str, kind: Lasting) -> Iterator[None]:
        """Held as long as the request is. Raises `TooManyRequests` (`too_many_streams`,
        `too_many_uploads`)."""
        limit, counted = kind.limit(self._settings, tenant), (tenant, kind.code)
        if self._open[counted] >= limit:
            raise TooManyRequests(
                f"the tenant {tenant} has {limit} {kind.what} at once: {kind.instead}",
                code=kind.code,
                retry_after=RETRY_SECONDS,
            )
        self._open[counted] += 1
        try:
            yield
        finally:
            self._open[counted] -= 1
            if not self._open[counted]:
                del self._open[counted]


def lasting(scope: Scope) -> Lasting | None:
    """What a request is that is answered only as time goes by, or as its body comes."""
    method, path = scope["method"], scope["path"]
    if method == "GET":
        waits = QueryParams(scope["query_string"]).getlist("wait")
        stays = path.endswith("/events") or any(wait not in ("", "0") for wait in waits)
        return STREAMS if stays else None
    if method == "PUT":
        return UPLOADS
    kind = Headers(scope=scope).get("content-type", "").lower()
    return UPLOADS if kind.startswith("multipart/") else None
