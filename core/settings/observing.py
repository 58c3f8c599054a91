"""What the service tells of itself, and where."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from core.settings.forms import Section


class MetricsSettings(Section):
    """Where workers and the courier answer Prometheus. The API does so at `/metrics`, for keys with
    the scope `metrics`."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """The address to listen on: whoever reaches it is answered."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """One for each process; without it none is listened on."""


class LogSettings(Section):
    """What the log has, and how."""

    format: Literal["auto", "json", "text"] = "auto"
    """`json` is a line each; `auto` is text on a terminal, and JSON elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that a line is written for."""


class TraceSettings(Section):
    """Spans of each job, from its POST to its commit. Without the file, and without OpenTelemetry's
    own `OTEL_EXPORTER_OTLP_ENDPOINT`, nothing is traced."""

    file: Path | None = None
    """Where finished spans are appended as OTLP/JSON, a line a batch."""
