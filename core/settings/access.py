"""Who may call, and what each tenant may do."""

from typing import Annotated

from pydantic import Field

from core.jobs import TENANT_PATTERN
from core.settings.forms import Section


class ApiKey(Section):
    """`sha256` is the hex digest of the whole key; the key itself is never stored."""

    id: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    tenant: Annotated[str, Field(pattern=TENANT_PATTERN)] = "default"
    scopes: frozenset[str] = frozenset({"jobs"})


class TenantSettings(Section):
    """What one tenant may do, where that is not what all may; None: as all.

    `requests_per_minute`, `event_streams` and `uploads` at once, bytes of one `upload`, jobs on
    their way to the workers at once (`concurrency`), and where its adapters may be read from and
    its results brought to (`sources` and `destinations`, as `s3_allow` of the sections of these
    names has them).
    """

    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    event_streams: Annotated[int, Field(ge=1)] | None = None
    uploads: Annotated[int, Field(ge=1)] | None = None
    upload: Annotated[int, Field(ge=1)] | None = None
    concurrency: Annotated[int, Field(ge=1)] | None = None
    sources: list[str] | None = None
    destinations: list[str] | None = None


class AccessSettings(Section):
    """`keys` of the settings count beside those of the store (`safelora-gate keys`). Where there is
    none of either the service answers on loopback only, as tenant `default`.

    `failures_per_minute`: requests without a good key, of one address, before its next is answered
    429. `audit_log`: the file that audit lines are appended to, `-` for stderr, `off` for none.
    `session_hours`: how long a browser stays signed in, used or not.
    """

    keys: list[ApiKey] = []
    failures_per_minute: Annotated[int, Field(ge=1)] = 30
    audit_log: Annotated[str, Field(min_length=1)] = "-"
    session_hours: Annotated[float, Field(gt=0.0, le=24 * 366)] = 12.0
