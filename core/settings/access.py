"""Who may call, and what each tenant may do."""

from typing import Annotated

from pydantic import Field

from core.jobs import TENANT_PATTERN
from core.settings.forms import S3Folder, Section


class ApiKey(Section):
    """A key by its digest: the key itself is never stored."""

    id: str
    """The name of the key in logs."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """The hex SHA-256 of the whole key."""
    tenant: Annotated[str, Field(pattern=TENANT_PATTERN)] = "default"
    """The tenant that it is of."""
    scopes: frozenset[str] = frozenset({"jobs"})
    """What it may do ([access.md](access.md#scopes))."""


class TenantSettings(Section):
    """What one tenant may do, by its name, where that is not what all may."""

    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Requests a minute, as `limits.requests_per_minute`."""
    event_streams: Annotated[int, Field(ge=1)] | None = None
    """Events and long polls at once, as `limits.event_streams`."""
    uploads: Annotated[int, Field(ge=1)] | None = None
    """Uploads at once, as `limits.uploads`."""
    upload: Annotated[int, Field(ge=1)] | None = None
    """Bytes of one request; `limits.upload` stays the upper bound."""
    concurrency: Annotated[int, Field(ge=1)] | None = None
    """Jobs on their way to the workers, as `queue.tenant_concurrency`."""
    sources: list[S3Folder] | None = None
    """Where its adapters may be read from: as `sources.s3_allow`."""
    destinations: list[S3Folder] | None = None
    """Where its results may be brought to: as `destinations.s3_allow`."""


class AccessSettings(Section):
    """Who may call. Where there is no key, here or in the store, the service answers on loopback
    only, as tenant `default` ([access.md](access.md))."""

    keys: list[ApiKey] = Field(
        default=[],
        examples=[[{"id": "first", "sha256": "6a9b7ad8" * 8, "scopes": ["jobs", "alignments"]}]],
    )
    """Keys that count beside those of the store (`safelora-gate keys`)."""
    failures_per_minute: Annotated[int, Field(ge=1)] = 30
    """Requests without a good key, of one address, before its next is answered 429."""
    audit_log: Annotated[str, Field(min_length=1)] = "-"
    """The file that audit lines are appended to; `-` for stderr, `off` for none."""
    session_hours: Annotated[float, Field(gt=0.0, le=24 * 366)] = 12.0
    """Hours that a browser stays signed in, used or not."""
