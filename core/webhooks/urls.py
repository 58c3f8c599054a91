"""URLs that ends of jobs may be told to. Read here and nowhere else, so that no two readers differ.

What is not plainly an URL is refused, not mended: each leniency is a way around a check.
"""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from core.errors import Forbidden, Unprocessable
from core.webhooks.addresses import is_public, read_address

LONGEST: Final = 2048
PORTS: Final = {"http": 80, "https": 443}
Named = Literal["callback", "webhook"]

_PRINTABLE = re.compile(r"[!-~]+")
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<target>[/?][^#\\]*)?",
    re.IGNORECASE,
)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LIKE_A_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_INNER = ("localhost", "local", "internal", "home.arpa", "onion")


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port. The host is lower case, without the brackets of IPv6."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True)
class ReceiverUrl:
    """`target`: path and query. `listed`: the operator's list has its origin."""

    origin: Origin
    target: str
    listed: bool


def parse_url(text: str) -> tuple[Origin, str]:
    """Origin and target. Raises `ValueError` that says what is wrong, without the URL itself."""
    if len(text) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST} characters")
    if not _PRINTABLE.fullmatch(text):
        raise ValueError("it holds a space, a control character or what is not ASCII")
    if "#" in text:
        raise ValueError("it has a fragment (#), which no receiver would see")
    if "\\" in text:
        raise ValueError("it has a backslash, which some read as a slash")
    if "@" in re.split(r"[/?]", text.partition("://")[2], maxsplit=1)[0]:
        raise ValueError("it has a user name: tell senders apart by the signature instead")
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError("it is not of the form https://host/path")
    scheme = match["scheme"].lower()
    port = int(match["port"] or PORTS[scheme])
    if port > 65535:
        raise ValueError("its port is larger than 65535")
    target = match["target"] or "/"
    return Origin(scheme, _host(match["host"].lower()), port), (
        target if target.startswith("/") else f"/{target}"
    )


def parse_origin(text: str) -> Origin:
    """An entry of the operator's list: `https://host:8443`. Raises `ValueError`."""
    origin, target = parse_url(text)
    if target != "/" or text.endswith("?"):
        raise ValueError("it has a path: give scheme, host and port alone")
    return origin


def check_url(text: str, allow: Collection[Origin], *, named: Named) -> ReceiverUrl:
    """The URL, as far as it can be judged before its name is resolved.

    Raises `Unprocessable` (`url_invalid`) or `Forbidden` (`url_not_allowed`). Its addresses are
    judged at each connection.
    """
    field = "callback_url" if named == "callback" else "url"
    try:
        origin, target = parse_url(text)
    except ValueError as error:
        raise Unprocessable(
            f"{field} cannot be used: {error}", code="url_invalid", field=field
        ) from error
    if origin in allow:
        return ReceiverUrl(origin, target, listed=True)
    why = _refusal(origin)
    if why is not None:
        raise Forbidden(
            f"{field} is not allowed: {why}. Give a public https URL on port 443, or have the"
            " operator list its scheme, host and port in SAFELORA_WEBHOOKS__ALLOW",
            code="url_not_allowed",
            field=field,
        )
    return ReceiverUrl(origin, target, listed=False)


def _host(text: str) -> str:
    """A name or an address in its one spelling. Raises `ValueError`."""
    if text.startswith("["):
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError as error:
            raise ValueError("what is in its brackets is no IPv6 address") from error
    labels = text.split(".")
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("its host is no name: letters, digits and hyphens between single dots")
    if _LIKE_A_NUMBER.fullmatch(labels[-1]) and read_address(text) is None:
        raise ValueError("its host is a number and not an address in the usual form, 192.0.2.1")
    return text


def _refusal(origin: Origin) -> str | None:
    if origin.scheme != "https":
        return "it is not https"
    if origin.port != PORTS["https"]:
        return "its port is not 443"
    address = read_address(origin.host)
    if address is not None:
        return None if is_public(address) else "its address is not on the public internet"
    if "." not in origin.host or origin.host.endswith(tuple(f".{name}" for name in _INNER)):
        return "its host is no public name"
    return None
