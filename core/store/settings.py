"""Where objects are kept, and how an S3-compatible store is reached."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict

from core.errors import StoreError
from core.store.checks import check_key

_SECTION = ConfigDict(
    frozen=True,
    extra="forbid",
    hide_input_in_errors=True,  # it may hold the secret key
    allow_inf_nan=False,
    use_attribute_docstrings=True,
)
_URL: JsonDict = {"format": "an http:// or https:// URL"}


class S3Access(BaseModel):
    """How an S3-compatible store is reached."""

    model_config = _SECTION

    endpoint_url: str | None = Field(default=None, json_schema_extra=_URL)
    """Where it is; without it AWS."""
    region: str = "us-east-1"
    """What requests are signed for."""
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    """`auto`: virtual on AWS, path at any other endpoint."""
    access_key_id: str | None = None
    """With `secret_access_key`; without both boto3 looks where it always does."""
    secret_access_key: SecretStr | None = None
    """With `access_key_id`."""
    checksum: Literal["when_required", "when_supported"] = "when_required"
    """When boto3 sends its own checksums: some stores choke on them."""
    connect_timeout: PositiveFloat = 5.0
    """Seconds that a connection may take."""
    read_timeout: PositiveFloat = 60.0
    """Seconds that no byte may come."""
    max_attempts: PositiveInt = 4
    """Attempts at one request, the first included."""

    @field_validator("endpoint_url", "public_endpoint_url", check_fields=False)
    @classmethod
    def _endpoint_is_plain(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("give it as http://host:port or https://host")
        if "@" in parts.netloc:
            raise ValueError("put credentials into access_key_id and secret_access_key")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _keys_come_in_pairs(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("set access_key_id and secret_access_key together, or neither")
        return self


class S3Settings(S3Access):
    """The gate's own place in an S3-compatible store."""

    bucket: str = Field(min_length=3)
    """It must exist."""
    prefix: str = ""
    """The folder in the bucket that is the gate's own."""
    public_endpoint_url: str | None = Field(default=None, json_schema_extra=_URL)
    """What callers reach, for presigned URLs; without it `endpoint_url`."""

    @field_validator("prefix")
    @classmethod
    def _prefix_is_a_folder(cls, prefix: str) -> str:
        folder = prefix.strip("/")
        if folder:
            try:
                check_key(folder)
            except StoreError as error:
                raise ValueError(error.message) from error
        return folder


class StoreSettings(BaseModel):
    """The object store: the truth about every job and alignment."""

    model_config = _SECTION

    kind: Literal["local", "s3"] = "local"
    """A folder of one machine, or an S3-compatible store."""
    path: Path = Path("var/store")
    """The local store's folder."""
    s3: S3Settings | None = None
    """How the store of kind `s3` is reached."""

    @model_validator(mode="after")
    def _s3_is_described(self) -> Self:
        if self.kind == "s3" and self.s3 is None:
            raise ValueError("kind s3 needs the s3 settings, the bucket at least")
        return self
