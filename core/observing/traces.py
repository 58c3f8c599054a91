"""Spans of what is done, off unless they are asked for: then nothing of OpenTelemetry's SDK is even
loaded, and a span costs next to nothing.

No span holds a message of an error, a query or a header: they may hold what nobody is to see.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from core.observing.process import Service
from core.report import ENGINE_VERSION
from core.settings import SettingsInvalid, TraceSettings

_HEADER: Final = "traceparent"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_W3C: Final = TraceContextTextMapPropagator()


@contextmanager
def span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    links: Sequence[Link] = (),
    **attributes: str | int | float,
) -> Iterator[Span]:
    """One step, within the step that is being done just here. Of an error its code is told."""
    tracer = _tracer()
    if tracer is None:
        yield trace.INVALID_SPAN
        return
    with tracer.start_as_current_span(
        name,
        kind=kind,
        links=links,
        attributes=_named(attributes),
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except BaseException as error:
            current.set_status(StatusCode.ERROR)
            current.set_attribute("error.type", getattr(error, "code", type(error).__name__))
            raise


def tell_span(name: str, begun_ns: int, ended_ns: int, **attributes: str | int | float) -> None:
    """A step that was done already, from and until these nanoseconds since 1970."""
    tracer = _tracer()
    if tracer is not None:
        told = tracer.start_span(name, start_time=begun_ns, attributes=_named(attributes))
        told.end(ended_ns)


def current_traceparent() -> str | None:
    """The W3C header of the step that is being done just here; None where nothing is traced."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get(_HEADER)


def trace_id() -> str | None:
    """In hex, of the step that is being done just here."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def context_of(traceparent: object) -> Context:
    """An empty one for what is no such header."""
    carrier = {_HEADER: traceparent} if isinstance(traceparent, str) else {}
    return _W3C.extract(carrier, context=Context())


def link_to(traceparent: str | None) -> list[Link]:
    """To the step that this header is of, if it is one."""
    context = trace.get_current_span(context_of(traceparent)).get_span_context()
    return [Link(context)] if context.is_valid else []


def start_tracing(service: Service, settings: TraceSettings) -> None:
    """Have this process's spans written and sent, if the settings or OpenTelemetry's own variables
    say so. Raises `SettingsInvalid` where they cannot be."""
    sent = any(os.environ.get(name) for name in _ENDPOINTS)
    if settings.file is None and not sent:
        return
    try:
        from core.observing.exporting import provider
    except ImportError as error:
        raise SettingsInvalid(
            "traces are asked for, and what exports them is not installed: install"
            " safelora-gate[otel], or unset SAFELORA_TRACES__FILE and OTEL_EXPORTER_OTLP_ENDPOINT"
        ) from error
    try:
        trace.set_tracer_provider(provider(service, settings.file, sent=sent))
    except OSError as error:
        raise SettingsInvalid(
            f"SAFELORA_TRACES__FILE: {settings.file} cannot be written: {error.strerror}"
        ) from error


def flush_traces() -> None:
    """Write and send what is finished: before a process ends in a way that asks nobody."""
    flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    if flush is not None:
        flush()


def _tracer() -> trace.Tracer | None:
    """None where nothing is traced: a job has some twenty spans, and OpenTelemetry's own that lead
    nowhere cost ten times as much."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        return None
    return provider.get_tracer("safelora", ENGINE_VERSION)


def _named(attributes: dict[str, str | int | float]) -> dict[str, str | int | float]:
    return {f"safelora.{name}": value for name, value in attributes.items()}
