"""What the service tells of itself, and where."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from core.settings.forms import Section


class MetricsSettings(Section):
    """Where worker and courier answer Prometheus, each on a port of its own (None: nowhere), to
    whoever reaches it. The API does so at `/metrics`, for keys with the scope `metrics`."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] | None = None


class LogSettings(Section):
    """`format`: `json`, a line each, or `text`; `auto` is text on a terminal, JSON elsewhere."""

    format: Literal["auto", "json", "text"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class TraceSettings(Section):
    """`file`: where finished spans are appended as OTLP/JSON, a line a batch. They are sent too
    where OpenTelemetry's own OTEL_EXPORTER_OTLP_ENDPOINT is set; with neither nothing is traced."""

    file: Path | None = None
