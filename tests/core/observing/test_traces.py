"""Spans: what they say, what they never say, and who asks for them."""

import sys
from pathlib import Path

import pytest
from opentelemetry.trace import StatusCode

from core.errors import Unprocessable
from core.observing.context import carried, resumed
from core.observing.traces import current_traceparent, link_to, span, start_tracing
from core.settings import SettingsInvalid, TraceSettings
from tests.tracing import traced

SECRET = "hunter2"


def test_untraced_there_is_nothing_to_carry() -> None:
    """Nor a header to send: that is how it is unless it is asked for."""
    with span("step"):
        assert current_traceparent() is None
        assert carried() == {}


def test_an_error_is_told_by_its_code_alone() -> None:
    """Its message may hold what nobody is to see."""
    with traced() as exporter, pytest.raises(Unprocessable), span("step"):
        raise Unprocessable(SECRET, code="odd")
    [told] = exporter.get_finished_spans()
    assert told.status.status_code is StatusCode.ERROR
    assert (told.attributes or {})["error.type"] == "odd"
    assert SECRET not in told.to_json()


def test_who_resumes_is_part_of_what_was_carried() -> None:
    """However long it lay in the queue; each attempt is one more part of it."""
    with traced() as exporter:
        with span("enqueue"):
            meta = carried()
        for _ in range(2):
            with resumed("job", meta), span("job"):
                pass
    enqueue, *jobs = exporter.get_finished_spans()
    assert enqueue.context is not None
    assert len(jobs) == 2
    for job in jobs:
        assert job.parent is not None
        assert job.parent.span_id == enqueue.context.span_id


@pytest.mark.parametrize("odd", ["", "00-zz-00-01", f"00-{'0' * 32}-{'0' * 16}-01", None])
def test_what_is_no_traceparent_begins_a_new_trace(odd: str | None) -> None:
    """And links to nothing."""
    with traced() as exporter:
        with resumed("job", {"traceparent": odd}), span("job"):
            pass
        assert link_to(odd) == []
    [job] = exporter.get_finished_spans()
    assert job.parent is None


def test_a_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    """Nobody finds out in the morning that there are no traces."""
    with pytest.raises(SettingsInvalid, match=r"SAFELORA_TRACES__FILE: .* cannot be written"):
        start_tracing("worker", TraceSettings(file=tmp_path / "missing" / "traces.jsonl"))


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setitem(sys.modules, "core.observing.exporting", None)
    with pytest.raises(SettingsInvalid, match=r"safelora-gate\[otel\]"):
        start_tracing("api", TraceSettings(file=tmp_path / "traces.jsonl"))


def test_unasked_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor needs to be installed."""
    monkeypatch.setitem(sys.modules, "core.observing.exporting", None)
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    start_tracing("api", TraceSettings())
