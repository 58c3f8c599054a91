"""Failed authentications are bounded by where they come from. Good keys, and events that are well
signed, are never held up."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from core.errors import RequestError, TooManyRequests

_ADDRESSES = 10_000  # that are remembered


class Failures:
    """How many failures each address has left: `a_minute` at once, then as many within each minute
    as come back one by one."""

    def __init__(
        self,
        a_minute: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_failure: Callable[[], object] = lambda: None,
    ) -> None:
        """`on_failure` is told of each, of those beyond the bound too."""
        self._a_minute = a_minute
        self._on_failure = on_failure
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, address: str) -> int:
        """Until the next failure is allowed; 0 if one is now."""
        left = self._left_of(_group(address))
        return 0 if left >= 1.0 else math.floor((1.0 - left) * 60 / self._a_minute) + 1

    def counted(self, address: str, error: RequestError) -> RequestError:
        """The error to raise for one more failure: `error`, or `TooManyRequests`
        (`too_many_failures`) where none is allowed."""
        self._on_failure()
        wait = self.seconds_to_wait(address)
        if wait:
            return TooManyRequests(
                "too many requests without a good key or signature came from this address: wait as"
                " long as Retry-After says",
                code="too_many_failures",
                retry_after=wait,
            )
        self.count(address)
        return error

    def count(self, address: str) -> None:
        group = _group(address)
        self._left[group] = max(0.0, self._left_of(group) - 1.0), self._clock()
        self._left.move_to_end(group)
        if len(self._left) > _ADDRESSES:
            self._left.popitem(last=False)

    def __len__(self) -> int:
        return len(self._left)

    def _left_of(self, group: str) -> float:
        left, then = self._left.get(group, (float(self._a_minute), 0.0))
        return min(float(self._a_minute), left + (self._clock() - then) * self._a_minute / 60)


def _group(address: str) -> str:
    """Who has one IPv6 address has the 2^64 of its network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
