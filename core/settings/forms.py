"""Forms that several sections have in common."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr
from redis.connection import parse_url


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _redis_url(url: SecretStr) -> SecretStr:
    try:
        parse_url(url.get_secret_value())  # type: ignore[no-untyped-call]
    except ValueError:  # without its words, which may hold the password
        raise ValueError("no URL of a Redis: redis://, rediss:// or unix://") from None
    return url


def _plain_url(url: str) -> str:
    parts = urlsplit(url)
    _ = parts.port  # raises ValueError where that is no number
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("give it as http://host:port or https://host, without credentials")
    return url.rstrip("/")


def _bearer(token: SecretStr) -> SecretStr:
    plain = token.get_secret_value().strip()
    if not re.fullmatch(r"[!-~]*", plain):
        raise ValueError("no token: it holds a space, or what is not ASCII. Copy it again")
    return SecretStr(plain)


BearerToken = Annotated[SecretStr, AfterValidator(_bearer)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
PlainUrl = Annotated[str, AfterValidator(_plain_url)]
