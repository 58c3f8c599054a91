"""What is accepted, from where, and where results may be brought."""

from typing import Annotated

from pydantic import Field

from core.settings.forms import Section
from core.store.settings import S3Access


class LimitSettings(Section):
    """Bytes. `upload` bounds a whole request body, `config` the adapter's config file; `wait` is in
    seconds.

    Of each tenant, where `tenants` says nothing else of it: `requests_per_minute` (None: no bound),
    and, at once in one process, `event_streams`, the events and long polls that it has open, and
    `uploads`, the bodies with files that are under way.
    """

    upload: int = 8 * 2**30
    config: int = 2**20
    metadata: int = 16 * 2**10
    wait: int = 60
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    event_streams: Annotated[int, Field(ge=1)] = 100
    uploads: Annotated[int, Field(ge=1)] = 32


class DestinationSettings(Section):
    """`s3_allow`: `s3://bucket/prefix/` entries that results may be brought to; empty means off.
    `{tenant}` in an entry stands for the tenant's name.

    Without `s3`, they are reached as the gate's own store is, or as on AWS where that is local.
    """

    s3_allow: list[str] = []
    s3: S3Access | None = None


class SourceSettings(Section):
    """`s3_allow`: `s3://bucket/prefix/` entries adapters may be read from; empty means off.
    `{tenant}` in an entry stands for the tenant's name.

    Without `s3`, they are reached as the gate's own store is, or as on AWS where that is local.
    """

    s3_allow: list[str] = []
    s3: S3Access | None = None
