"""Where finished spans go, by OpenTelemetry's SDK: of the extra `otel`."""

from pathlib import Path
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from core.observing.process import Service
from core.report import ENGINE_VERSION

_LONGEST: Final = 256  # characters of an attribute: a path may be as long as its caller likes
_QUERY: Final = "url.query"
_BUFFER: Final = 2**20  # bytes, more than a batch has: each is appended whole


def provider(service: Service, file: Path | None, *, sent: bool) -> TracerProvider:
    """What OTEL_… says of samplers, headers and times counts. Raises `OSError` for the file."""
    resource = Resource.create(
        {"service.name": f"safelora-{service}", "service.version": ENGINE_VERSION}
    )
    limits = SpanLimits(max_span_attribute_length=_LONGEST)
    made = TracerProvider(resource=resource, span_limits=limits)
    made.add_span_processor(_WithoutQuery())
    if file is not None:
        stream = file.open("a", buffering=_BUFFER, encoding="utf-8")
        made.add_span_processor(BatchSpanProcessor(FileSpanExporter(stream=stream)))
    if sent:
        made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return made


class _WithoutQuery(SpanProcessor):
    """The framework tells a request's query, where somebody may have put a key."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        if _QUERY in (span.attributes or {}):
            span.set_attribute(_QUERY, "left out")
