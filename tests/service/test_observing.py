"""One job through real processes, as whoever watches them sees it: spans, log lines, metrics."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import httpx2
import pytest

from core.store.settings import StoreSettings
from tests.metrics import Told
from tests.servers import ValkeyServer, free_ports
from tests.service.running import Json, Running, golden_parts, running_service
from tests.service.spans import Span, awaited
from tests.worker.making import GOLDEN
from tests.worker.webhooks.receiver import Receiver, receiving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
REQUEST = "req-7"
SECRET = "slg_0123456789ab_not-to-be-seen"
STAGES = ("fetch", "check", "read", "judge", "write", "verify", "publish")
TURNS = ("align", "score", "project")
CLOCKS = 0.002
"""Seconds that a span and a timing may differ by: each goes by a clock of its own."""


@dataclass(frozen=True)
class Seen:
    """What one job left behind."""

    running: Running
    job: Json
    spans: Sequence[Span]
    ports: dict[str, int]
    receiver: Receiver

    def span(self, name: str, service: str = "safelora-worker") -> Span:
        """The one of this job's trace."""
        mine = (s for s in self.spans if s.trace == TRACE and s.service == service)
        [found] = [span for span in mine if span.name == name]
        return found

    def told(self, part: str) -> Told:
        url = f"http://127.0.0.1:{self.ports[part]}/metrics"
        return Told(httpx2.get(url, trust_env=False).text)

    def lines(self) -> list[Json]:
        """Without those of the audit log, which is on stderr too."""
        lines = map(json.loads, self.running.log.read_text().splitlines())
        return [line for line in lines if "action" not in line]


@pytest.fixture(scope="module")
def seen(valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("observing")
    worker, courier = free_ports(2)
    traces = folder / "traces.jsonl"
    with receiving() as receiver:
        settings = {
            "SAFELORA_TRACES__FILE": str(traces),
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "SAFELORA_METRICS__PORT": str(worker),
            "SAFELORA_WEBHOOKS__ALLOW": json.dumps([receiver.origin]),
            "SAFELORA_WEBHOOKS__EVERY": "0.2",
        }
        with running_service(
            StoreSettings(path=folder / "store"),
            valkey.url,
            folder,
            s3_allow=[],
            roots=[GOLDEN],
            settings=settings,
            courier={"SAFELORA_METRICS__PORT": str(courier)},
        ) as running:
            running.register("tiny", GOLDEN / "base", GOLDEN / "aligned", dtype="float32")
            running.client.post("/v1/webhooks/secret").raise_for_status()
            job = running.wait(posted(running, receiver))
            last = {"POST /v1/jobs", "job", "webhook"}
            spans = awaited(traces, lambda found: last <= {span.name for span in found})
            yield Seen(running, job, spans, {"worker": worker, "courier": courier}, receiver)


def posted(running: Running, receiver: Receiver) -> httpx2.Response:
    """With a trace and an id of the caller's own, and a secret where none belongs."""
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "X-Request-Id": REQUEST}
    return running.client.post(
        f"/v1/jobs?key={SECRET}",
        data={"alignment": "tiny", "callback_url": receiver.url},
        files={name: (name, data) for name, data in golden_parts().items()},
        headers=headers,
    )


def test_a_job_is_one_trace_from_its_post_to_its_commit(seen: Seen) -> None:
    """The caller's own, through the queue: each step within the one that it is part of."""
    post = seen.span("POST /v1/jobs", "safelora-api")
    assert post.parent == "00f067aa0ba902b7"
    for name in ("receive", "accept"):
        assert seen.span(name, "safelora-api").parent == post.id
    enqueue = seen.span("enqueue", "safelora-api")
    assert enqueue.parent == seen.span("accept", "safelora-api").id
    assert enqueue.attributes["safelora.job_id"] == seen.job["id"]
    job = seen.span("job")
    assert job.parent == enqueue.id
    for name in (*(stage for stage in STAGES if stage != "fetch"), "finish"):
        assert seen.span(name).parent == job.id, name
    for name in TURNS:
        assert seen.span(name).parent == seen.span("judge").id
    assert seen.span("commit").parent == seen.span("publish").id


def test_spans_of_stages_add_up_to_the_job(seen: Seen) -> None:
    """One after the other within the job's, and as long as the job's own timings say."""
    job = seen.span("job")
    fetches = [s for s in seen.spans if s.trace == TRACE and s.name == "fetch"]
    others = [seen.span(name) for name in (*STAGES, "finish") if name != "fetch"]
    steps = sorted([*fetches, *others], key=lambda span: span.begun)
    assert [step.parent for step in steps] == [job.id] * len(steps)
    for before, after in pairwise(steps):
        assert before.ended <= after.begun
    assert job.begun <= steps[0].begun
    assert steps[-1].ended <= job.ended
    timings: dict[str, float] = seen.job["timings"]
    once = ("check", "read", "write", "verify", "publish")
    around = [timings[name] - seen.span(name).seconds for name in once]
    assert min(around) >= -CLOCKS
    assert median(around) <= CLOCKS  # not of each: the worker may be put off between the two
    assert sum(timings[name] for name in once) <= job.seconds + CLOCKS
    for name in TURNS:
        assert seen.span(name).attributes["safelora.seconds"] == pytest.approx(
            timings[name], abs=1e-5
        )
    assert sum(step.seconds for step in steps) <= job.seconds
    assert sum(seen.span(name).attributes["safelora.seconds"] for name in TURNS) <= (
        seen.span("judge").seconds
    )


def test_who_is_told_of_the_end_can_go_on_with_the_trace(seen: Seen) -> None:
    """An attempt is a trace of its own, which links to the job's, and its receiver gets it."""
    [webhook] = [span for span in seen.spans if span.name == "webhook"]
    assert (webhook.service, webhook.links) == ("safelora-courier", [TRACE])
    assert webhook.trace != TRACE
    [sent] = seen.receiver.got
    assert sent.headers["traceparent"].startswith(f"00-{webhook.trace}-{webhook.id}-")


def test_lines_of_a_job_are_found_by_its_request(seen: Seen) -> None:
    """From the API through the queue to the worker, with the id that the caller chose."""
    mine = [line for line in seen.lines() if line.get("request_id") == REQUEST]
    assert {line["service"] for line in mine} == {"api", "worker"}
    assert {line["trace_id"] for line in mine} == {TRACE}
    of_worker = [line for line in mine if line["service"] == "worker"]
    assert {line["job_id"] for line in of_worker} == {seen.job["id"]}
    told = [line for line in seen.lines() if line["service"] == "courier" and "job_id" in line]
    assert {line["job_id"] for line in told} == {seen.job["id"]}


def test_every_line_is_json_and_says_when_and_what(seen: Seen) -> None:
    """Of uvicorn and RQ too."""
    lines = seen.lines()
    for line in lines:
        assert list(line)[:5] == ["time", "level", "service", "logger", "event"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert "uvicorn.access" in {line["logger"] for line in lines}
    asked = [line["event"] for line in lines if line["logger"] == "uvicorn.access"]
    assert [line for line in asked if '"POST /v1/jobs HTTP/1.1" 202' in line]
    assert [line for line in asked if "/readyz" in line and "200" in line] == []


def test_no_query_is_written_down(seen: Seen) -> None:
    """Somebody may have put a key there."""
    assert SECRET not in seen.running.log.read_text()
    assert not [s for s in seen.spans if SECRET in json.dumps(s.attributes)]


def test_worker_and_courier_are_scraped(seen: Seen) -> None:
    """On a port of their own, with what they just did."""
    worker, courier = seen.told("worker"), seen.told("courier")
    labels: dict[str, Any] = {"state": "succeeded", "alignment": "tiny"}
    ended = worker("safelora_jobs_ended_total", verdict=seen.job["verdict"], **labels)
    assert ended == 1
    assert worker("safelora_store_call_duration_seconds_count", operation="get_file") > 0
    assert worker("safelora_disk_free_bytes", place="alignments") > 0
    assert worker("process_resident_memory_bytes") > 0
    assert courier("safelora_webhook_attempts_total", outcome="delivered") == 1
    assert courier("safelora_courier_rounds_total", duty="sweep", outcome="done") >= 1
    assert courier("safelora_info", service="courier", version="0.2.0") == 1


def test_the_api_sees_worker_and_courier(seen: Seen) -> None:
    """What an alert on missing ones is made of, and what readiness says."""
    api = Told(seen.running.client.get("/metrics").text)
    assert api("safelora_workers", state="idle") == 1
    assert api("safelora_courier_up") == 1
    assert api("safelora_jobs", state="queued") == 0
    assert seen.running.client.get("/readyz").json()["warnings"] == []
