"""Failed authentications are bounded by where they come from. Good keys, and events that are well
signed, are never held up."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from core.errors import RequestError, TooManyRequests

A_MINUTE: Final = 30  # failures of one address
_ADDRESSES = 10_000  # that are remembered


class Failures:
    """How many failures each address has left: `A_MINUTE` at once, then one every two seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, address: str) -> int:
        """Until the next failure is allowed; 0 if one is now."""
        left = self._left_of(_group(address))
        return 0 if left >= 1.0 else math.floor((1.0 - left) * 60 / A_MINUTE) + 1

    def counted(self, address: str, error: RequestError) -> RequestError:
        """The error to raise for one more failure: `error`, or `TooManyRequests`
        (`too_many_failures`) where none is allowed."""
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
        left, then = self._left.get(group, (float(A_MINUTE), 0.0))
        return min(float(A_MINUTE), left + (self._clock() - then) * A_MINUTE / 60)


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
