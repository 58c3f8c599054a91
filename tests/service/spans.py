"""Spans as a process writes them: OTLP/JSON, a batch a line."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Span:
    """Times in nanoseconds since 1970; `service` is that of the process."""

    name: str
    service: str
    trace: str
    id: str
    parent: str
    begun: int
    ended: int
    attributes: dict[str, Any]
    links: list[str]

    @property
    def seconds(self) -> float:
        return (self.ended - self.begun) / 1e9


def spans_in(path: Path) -> list[Span]:
    """Those that were written whole by now."""
    text = path.read_text() if path.exists() else ""
    return [span for line in text.splitlines() for span in _spans(json.loads(line))]


def awaited(
    path: Path, enough: Callable[[Sequence[Span]], bool], seconds: float = 30.0
) -> list[Span]:
    """All of them, once there are `enough`."""
    deadline = time.monotonic() + seconds
    while True:
        found = spans_in(path)
        if enough(found):
            return found
        assert time.monotonic() < deadline, [span.name for span in found]
        time.sleep(0.1)


def _spans(batch: dict[str, Any]) -> Iterator[Span]:
    for resource in batch["resourceSpans"]:
        service = _values(resource["resource"]["attributes"])["service.name"]
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield Span(
                    name=span["name"],
                    service=service,
                    trace=span["traceId"],
                    id=span["spanId"],
                    parent=span.get("parentSpanId", ""),
                    begun=int(span["startTimeUnixNano"]),
                    ended=int(span["endTimeUnixNano"]),
                    attributes=_values(span.get("attributes", [])),
                    links=[link["traceId"] for link in span.get("links", [])],
                )


def _values(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in attributes}
