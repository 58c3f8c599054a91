"""Jobs followed and steered, as a client of the gate does it, and ended as a worker does it."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from httpx2 import Response

from core.jobs import FinalState, JobFailure, JobResult, JobState, Progress, new_job_id, now
from core.store import layout
from tests.app.gate import Gate, weights_of

STARTED = "2026-11-23T09:30:00.000Z"


@dataclass(frozen=True)
class Frame:
    """One event; `id` is None where it has none."""

    event: str
    data: dict[str, Any]
    id: str | None

    @property
    def state(self) -> str:
        return str(self.data["state"])


def frames_of(response: Response) -> list[Frame]:
    """The events of a stream that has ended, each line of it accounted for."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = response.text.split("\n\n")
    assert blocks.pop() == ""
    return [_frame(block) for block in blocks if not block.startswith(":")]


def _frame(block: str) -> Frame:
    fields = dict(line.split(": ", 1) for line in block.split("\n"))
    assert fields.keys() <= {"event", "data", "id"}
    return Frame(fields["event"], json.loads(fields["data"]), fields.get("id"))


def told(frames: list[Frame]) -> list[str | int]:
    """In short: states by name, progress by how much is done."""
    return [frame.state if frame.event == "state" else frame.data["done"] for frame in frames]


def posted(gate: Gate) -> str:
    """A job that no earlier result answers."""
    job_id: str = gate.post(weights=weights_of(new_job_id()), alignment="base").json()["id"]
    return job_id


def run(gate: Gate, job_id: str, *done: int) -> None:
    """A worker takes the job, and gets so far."""
    for number, modules in enumerate(done):
        progress = Progress(stage="score", done=modules, total=60, started_at=STARTED)
        gate.services.queue.set_progress(job_id, progress)
        gate.services.queue.events.running(job_id, progress, begins=number == 0)


def finish(gate: Gate, job_id: str) -> None:
    """As a worker ends it."""
    request = gate.services.records.request("default", job_id)
    assert request is not None
    gate.finish(request)
    gate.services.queue.events.ended(job_id)


def follow(gate: Gate, job_id: str, last_event_id: str | None = None) -> Response:
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    return gate.client.get(f"/v1/jobs/{job_id}/events", headers=headers)


@contextmanager
def followers(*calls: Callable[[], Response]) -> Iterator[list[Future[Response]]]:
    """All at once, each in a thread of its own."""
    with ThreadPoolExecutor(len(calls)) as pool:
        yield [pool.submit(call) for call in calls]


def cancel(gate: Gate, job_id: str) -> Response:
    return gate.client.post(f"/v1/jobs/{job_id}/cancel")


def retry(gate: Gate, job_id: str, idempotency_key: str | None = None) -> Response:
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    return gate.client.post(f"/v1/jobs/{job_id}/retry", headers=headers)


def remove(gate: Gate, job_id: str) -> Response:
    return gate.client.delete(f"/v1/jobs/{job_id}")


def end(gate: Gate, job_id: str, state: FinalState = JobState.FAILED) -> None:
    error = JobFailure(code="engine_error", message="why") if state is JobState.FAILED else None
    result = JobResult(state=state, finished_at=now(), error=error)
    gate.services.records.finish("default", job_id, result)


def succeed(gate: Gate, job_id: str) -> JobResult:
    request = gate.services.records.request("default", job_id)
    assert request is not None
    return gate.finish(request)


def keys_of(gate: Gate, job_id: str) -> set[str]:
    prefix = layout.job("default", job_id) + "/"
    return {key.removeprefix(prefix) for key in gate.services.store.list(prefix)}


def frames_of_ended(gate: Gate, job_id: str) -> list[Frame]:
    end(gate, job_id)
    return frames_of(follow(gate, job_id))
