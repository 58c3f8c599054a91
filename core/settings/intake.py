"""What is accepted, from where, and where results may be brought."""

from core.settings.forms import Section
from core.store.settings import S3Access


class LimitSettings(Section):
    """Bytes. `upload` bounds a whole request body, `config` the adapter's config file."""

    upload: int = 8 * 2**30
    config: int = 2**20
    metadata: int = 16 * 2**10
    wait: int = 60


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
