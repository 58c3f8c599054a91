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


class AccessSettings(Section):
    """Without keys the service answers on loopback only, as tenant `default`."""

    keys: list[ApiKey] = []
