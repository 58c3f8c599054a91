"""Telling callers how their jobs ended."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from core.settings.forms import Section
from core.webhooks.urls import Origin, parse_origin


def _entry(text: str) -> str:
    try:
        parse_origin(text)
    except ValueError as error:
        raise ValueError(f"no entry of the form https://host:port: {error}") from None
    return text


class WebhookSettings(Section):
    """`enabled`: off, no new callback or endpoint is taken, and what waits to be told goes on
    waiting. `allow`: entries `https://host:port` or `http://host:port` that may be told although
    they are not public https on port 443; scheme, host and port exactly. `ca_file`: certificates
    that are trusted beside the system's, for those.

    Seconds: `timeout` for one attempt in all, `every` between two looks at what is due. A courier
    makes `concurrency` attempts at a time, `tenant_concurrency` of them for one tenant. A tenant
    may have as many `endpoints`.
    """

    enabled: bool = True
    allow: list[Annotated[str, AfterValidator(_entry)]] = []
    ca_file: Path | None = None
    timeout: Annotated[float, Field(gt=0, le=60)] = 15.0
    every: Annotated[float, Field(gt=0)] = 2.0
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 64
    tenant_concurrency: Annotated[int, Field(ge=1)] = 4
    endpoints: Annotated[int, Field(ge=0)] = 20

    def allowed(self) -> frozenset[Origin]:
        return frozenset(parse_origin(entry) for entry in self.allow)
