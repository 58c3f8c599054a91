"""Telling callers how their jobs ended."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from core.settings.forms import Section
from core.webhooks.urls import Origin, parse_origin


def _entry(text: str) -> str:
    try:
        parse_origin(text)
    except ValueError as error:
        raise ValueError(f"no entry of the form https://host:port: {error}") from None
    return text


Entry = Annotated[
    str,
    AfterValidator(_entry),
    WithJsonSchema({"type": "string", "format": "`https://host:port` or `http://host:port`"}),
]


class WebhookSettings(Section):
    """Telling callers how their jobs ended ([webhooks.md](webhooks.md))."""

    enabled: bool = True
    """Off, no new callback or endpoint is taken, and what waits to be told goes on waiting."""
    allow: list[Entry] = Field(default=[], examples=[["https://ci.internal:8443"]])
    """Receivers that may be told although they are not public https on port 443; scheme, host and
    port exactly."""
    ca_file: Path | None = None
    """A file of certificates that are trusted beside the system's, for those."""
    timeout: Annotated[float, Field(gt=0, le=60)] = 15.0
    """Seconds for one attempt in all."""
    every: Annotated[float, Field(gt=0)] = 2.0
    """Seconds between two looks at what is due."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 64
    """Attempts that a courier makes at a time."""
    tenant_concurrency: Annotated[int, Field(ge=1)] = 4
    """Those of one tenant among them."""
    endpoints: Annotated[int, Field(ge=0)] = 20
    """Endpoints that a tenant may have."""

    def allowed(self) -> frozenset[Origin]:
        return frozenset(parse_origin(entry) for entry in self.allow)
