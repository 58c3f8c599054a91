"""To what a log line and a span belong, and how that travels with a job through the queue."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from opentelemetry.context import attach, detach
from structlog.contextvars import bound_contextvars, get_contextvars

from core.observing.traces import context_of, current_traceparent

REQUEST_ID: Final = "request_id"
JOB_ID: Final = "job_id"
_TRACEPARENT: Final = "traceparent"
REQUEST_ID_PATTERN: Final = r"[A-Za-z0-9._-]{1,64}"


@contextmanager
def belonging(**ids: str) -> Iterator[None]:
    """Log lines within are of this request, or of this job."""
    with bound_contextvars(**ids):
        yield


def carried() -> dict[str, str]:
    """What goes along with a job that is queued just here: its request's id, and the span's place
    in its trace; nothing where there is neither."""
    found = {REQUEST_ID: get_contextvars().get(REQUEST_ID), _TRACEPARENT: current_traceparent()}
    return {name: value for name, value in found.items() if value is not None}


@contextmanager
def resumed(job_id: str, meta: Mapping[str, Any]) -> Iterator[None]:
    """A worker goes on with what was carried. Of what is in Redis only what has its form counts."""
    ids = {JOB_ID: job_id}
    request_id = meta.get(REQUEST_ID)
    if isinstance(request_id, str) and re.fullmatch(REQUEST_ID_PATTERN, request_id):
        ids[REQUEST_ID] = request_id
    with ExitStack() as stack:
        stack.enter_context(belonging(**ids))
        token = attach(context_of(meta.get(_TRACEPARENT)))
        stack.callback(detach, token)
        yield
