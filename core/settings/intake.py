"""What is accepted, from where, and where results may be brought."""

from typing import Annotated

from pydantic import Field

from core.settings.forms import S3Folder, Section
from core.store.settings import S3Access


class LimitSettings(Section):
    """What is accepted. What is said of each tenant is so where `tenants` says nothing else."""

    upload: Annotated[int, Field(ge=1)] = 8 * 2**30
    """Bytes of a whole request, and of what an archive or a source holds."""
    config: Annotated[int, Field(ge=1)] = 2**20
    """Bytes of the adapter's config file."""
    metadata: Annotated[int, Field(ge=1)] = 16 * 2**10
    """Bytes of a job's `metadata`."""
    wait: Annotated[int, Field(ge=0)] = 60
    """Seconds that `?wait=` waits at most."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Requests of each tenant, in all processes; without it there is no bound."""
    event_streams: Annotated[int, Field(ge=1)] = 100
    """Events and long polls of each tenant that are open at once in one process."""
    uploads: Annotated[int, Field(ge=1)] = 32
    """Bodies with files of each tenant that are under way at once in one process."""


class DestinationSettings(Section):
    """Where results may be brought to ([uploads.md](uploads.md))."""

    s3_allow: list[S3Folder] = Field(default=[], examples=[["s3://results/{tenant}/"]])
    """Folders on S3; empty means off. `{tenant}` stands for the tenant's name."""
    s3: S3Access | None = None
    """How they are reached; without any as the gate's own store is, or as on AWS where that is
    local."""


class SourceSettings(Section):
    """Where adapters may be read from ([uploads.md](uploads.md))."""

    s3_allow: list[S3Folder] = Field(default=[], examples=[["s3://uploads/{tenant}/"]])
    """Folders on S3; empty means off. `{tenant}` stands for the tenant's name."""
    s3: S3Access | None = None
    """How they are reached; without any as the gate's own store is, or as on AWS where that is
    local."""
