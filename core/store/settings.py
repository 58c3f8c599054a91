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

from core.errors import StoreError
from core.store.checks import check_key


class S3Access(BaseModel):
    """How an S3-compatible store is reached. Without keys, boto3 looks where it always does."""

    # Errors must not show the input: it may hold the secret key.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    endpoint_url: str | None = Field(default=None, description="None: AWS")
    region: str = "us-east-1"
    addressing_style: Literal["auto", "path", "virtual"] = Field(
        default="auto", description="auto: virtual on AWS, path at any other endpoint"
    )
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    checksum: Literal["when_required", "when_supported"] = Field(
        default="when_required", description="some stores choke on boto3's default CRC"
    )
    connect_timeout: PositiveFloat = Field(default=5.0, description="seconds")
    read_timeout: PositiveFloat = Field(default=60.0, description="seconds without a byte")
    max_attempts: PositiveInt = Field(default=4, description="of one request, the first included")

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

    bucket: str = Field(min_length=3, description="must exist")
    prefix: str = Field(default="", description="the folder in the bucket that is the gate's own")
    public_endpoint_url: str | None = Field(
        default=None, description="what callers reach, for presigned URLs; None: endpoint_url"
    )

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
    """Which object store, and where."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Literal["local", "s3"] = "local"
    path: Path = Field(default=Path("var/store"), description="the local store's folder")
    s3: S3Settings | None = None

    @model_validator(mode="after")
    def _s3_is_described(self) -> Self:
        if self.kind == "s3" and self.s3 is None:
            raise ValueError("kind s3 needs the s3 settings, the bucket at least")
        return self
