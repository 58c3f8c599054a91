"""Which addresses are on the public internet: the others may be machines of the operator's own."""

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
# Public by Python's tables, or by some version of them, and yet not just anybody's machine.
_BLOCKED: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments; metadata of a cloud at 192.0.0.192
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # a cloud's own services, as each of its machines sees them
        "2001::/23",  # protocol assignments, Teredo among them
        "2002::/16",  # 6to4: an IPv4 address inside
        "3fff::/20",  # documentation
    )
)


def is_public(address: Address) -> bool:
    """Whether anybody's machine could be there. False also for an IPv6 address that stands for an
    IPv4 one, whichever: mapped, NAT64, 6to4 and Teredo reach places that it does not name."""
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, ipaddress.IPv6Address) and (
        address.scope_id is not None or address not in _UNICAST
    ):
        return False
    return not any(address in network for network in _BLOCKED)


def read_address(text: str) -> Address | None:
    """None for a name. Only the usual spelling is an address: `0177.1` and `2130706433` are not."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
