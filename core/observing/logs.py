"""Log lines as JSON or as text, of all that runs in a process: of ours, of uvicorn and of RQ."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from structlog.contextvars import get_contextvars
from structlog.typing import EventDict, WrappedLogger

from core.findings import printable
from core.observing.process import Service
from core.observing.traces import trace_id
from core.settings import LogSettings

_IDS: Final = ("request_id", "job_id", "trace_id")


def start_logging(service: Service, settings: LogSettings) -> None:
    """From here on all that this process logs is a line on stderr."""
    as_json = settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                _Line(service),
                structlog.processors.JSONRenderer(_dumped) if as_json else _as_text,
            ]
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    logging.captureWarnings(capture=True)


class _Line:
    """What every line says, in this order."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        record: logging.LogRecord = event["_record"]
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "event": event["event"],
        }
        bound = get_contextvars()
        found = {"trace_id": trace_id(), **bound}
        line |= {name: found[name] for name in _IDS if found.get(name)}
        if "exc_info" in event:
            line["exception"] = logging.Formatter().formatException(event["exc_info"])
        return line


def _as_text(_: WrappedLogger, __: str, line: EventDict) -> str:
    """One line, and those of an exception."""
    ids = "".join(f" {name}={line[name]}" for name in _IDS if name in line)
    text = f"{line['time']} {line['level'].upper()} {line['event']}{ids}"
    exception = line.get("exception", "")
    return "\n".join(printable(part) for part in (text, *exception.splitlines()))


def _dumped(line: Any, **options: Any) -> str:
    """ASCII alone, and no control character: a line is safe on any terminal."""
    return json.dumps(line, **options).replace("\x7f", "\\u007f")
