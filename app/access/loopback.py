"""Without keys only this machine is served, and only under a name that no other page goes by."""

import ipaddress
import re

from starlette.datastructures import Headers

from core.errors import Forbidden

_LOOPBACK = r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?"
_LOOPBACK_HOST = re.compile(_LOOPBACK, re.IGNORECASE)


def check_loopback(address: str, headers: Headers) -> None:
    """Raises `Forbidden` (`loopback_only`) unless the request came from here, and for here."""
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    if not (
        is_loopback(address)
        and len(hosts) == 1
        and _LOOPBACK_HOST.fullmatch(hosts[0])
        and all(origin.lower() == f"http://{hosts[0].lower()}" for origin in origins)
    ):
        raise Forbidden(
            "there are no keys, so only this machine is served, at localhost: make one with"
            " safelora-gate keys create to serve others",
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
