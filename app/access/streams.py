"""How many events and long polls each tenant has open in this process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from starlette.datastructures import QueryParams
from starlette.types import Scope

from core.errors import TooManyRequests
from core.settings import Settings
from core.tenant_limits import stream_limit

RETRY_SECONDS: Final = 5


class Streams:
    """For one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: Counter[str] = Counter()

    @contextmanager
    def one_more(self, tenant: str) -> Iterator[None]:
        """Held as long as the stream is open. Raises `TooManyRequests` (`too_many_streams`)."""
        limit = stream_limit(self._settings, tenant)
        if self._open[tenant] >= limit:
            raise TooManyRequests(
                f"the tenant {tenant} has {limit} events or long polls open at once: close one, or"
                " poll without wait",
                code="too_many_streams",
                retry_after=RETRY_SECONDS,
            )
        self._open[tenant] += 1
        try:
            yield
        finally:
            self._open[tenant] -= 1
            if not self._open[tenant]:
                del self._open[tenant]


def stays_open(scope: Scope) -> bool:
    """Whether the request is one that is answered only as time goes by."""
    if scope["method"] != "GET":
        return False
    path: str = scope["path"]
    waits = QueryParams(scope["query_string"]).getlist("wait")
    return path.endswith("/events") or any(wait not in ("", "0") for wait in waits)
