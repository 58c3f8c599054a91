"""Forms that several sections have in common."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, WithJsonSchema
from redis.connection import parse_url

_S3_FOLDER = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?")


class Section(BaseModel):
    """What is said of a section and of its fields is what docs/settings.md has. In a field's JSON
    schema `format` says what may be given where the type does not, `unset` what None is called."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


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


def _s3_folder(text: str) -> str:
    if not _S3_FOLDER.fullmatch(text.replace("{tenant}", "tenant")):
        raise ValueError("give it as s3://bucket/ or s3://bucket/folder/")
    return text


BearerToken = Annotated[SecretStr, AfterValidator(_bearer)]
RedisUrl = Annotated[
    SecretStr,
    AfterValidator(_redis_url),
    WithJsonSchema(
        {"type": "string", "format": "a redis://, rediss:// or unix:// URL", "writeOnly": True}
    ),
]
PlainUrl = Annotated[
    str,
    AfterValidator(_plain_url),
    WithJsonSchema({"type": "string", "format": "an http:// or https:// URL"}),
]
S3Folder = Annotated[
    str,
    AfterValidator(_s3_folder),
    WithJsonSchema({"type": "string", "format": "`s3://bucket/folder/`"}),
]
