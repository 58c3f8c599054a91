"""Where the gate is and by which key: checked before anything is sent."""

import ipaddress
import os
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from safelora.errors import UsageError

DEFAULT_URL: Final = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Address:
    """A gate and a key for it; the key is shown nowhere."""

    url: str
    key: SecretStr | None = field(repr=False)
    local: bool

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key.get_secret_value()}"} if self.key else {}

    def place(self, *path: str) -> str:
        """The URL of a resource. Raises `UsageError` for a part that cannot be one of a path."""
        for part in path:
            if part in ("", ".", ".."):
                raise UsageError(f"{part!r} is no id or name")
        return "/".join([self.url, *(quote(part, safe="") for part in path)])


def find_address(url: str | None, key: str | None, *, allow_http: bool) -> Address:
    """From the arguments, or SAFELORA_URL and SAFELORA_KEY. Raises `UsageError`."""
    given = (os.environ.get("SAFELORA_URL") or DEFAULT_URL) if url is None else url
    secret = (os.environ.get("SAFELORA_KEY") or None) if key is None else key
    try:
        parts = urlsplit(given)
        hostname, _ = parts.hostname, parts.port
    except ValueError:
        hostname = None
    if hostname is None or parts.scheme not in ("http", "https"):
        raise UsageError("the url must be as http://127.0.0.1:8000")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError("the url holds more than an address: the key goes into SAFELORA_KEY")
    if secret is not None and not (secret.isascii() and secret.isprintable() and secret.strip()):
        raise UsageError("the key holds characters that no key has")
    local = is_loopback(hostname)
    if parts.scheme == "http" and secret is not None and not (local or allow_http):
        raise UsageError(
            f"over http:// everyone on the way to {hostname} could read the key: use https://, or"
            " allow http where the network is yours"
        )
    return Address(given.rstrip("/"), None if secret is None else SecretStr(secret.strip()), local)


def is_loopback(host: str) -> bool:
    """True for `localhost` and for addresses that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
