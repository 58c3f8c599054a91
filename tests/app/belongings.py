"""What a tenant has, by the name of the path parameter that leads to it.

A route that leads to something new needs an entry here: without one `tests/app/test_isolation.py`
fails.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from core.jobs import FinalState, JobFailure, JobResult, JobState, Progress, new_job_id, now
from core.report import Verdict
from core.store.layout import ADAPTER_CONFIG
from tests.app.gate import Gate, weights_of

OF_ALL = {
    "name": "an alignment, which is the operator's, and read by every tenant",
    "source": "where a sender's events come in, which no key leads to, but a signature",
}
"""Parameters that lead to nothing of one tenant, and why."""

BODIES: dict[tuple[str, str], list[Any]] = {}
"""JSON bodies with which a method and path are tried, beside none, `{}` and the example of the
document. Write `("PATCH", "/v1/things/{thing_id}"): [{…}]` where another body is needed to get as
far as the thing."""


def belongings(gate: Gate, tenant: str) -> dict[str, list[str]]:
    """Everything that the caller of `gate`, who is of `tenant`, can be made to have."""
    webhook_id = _webhook(gate)
    job_ids = list(_jobs(gate, tenant))
    outbox = gate.services.records.outbox
    return {
        "job_id": job_ids,
        "webhook_id": [webhook_id],
        "delivery_id": [
            delivery.id for job_id in job_ids for delivery in outbox.of_job(tenant, job_id)
        ],
        "upload_id": [_upload(gate)],
        "filename": ["adapter_model.safetensors", "adapter_config.json"],
    }


def _upload(gate: Gate) -> str:
    files = [{"name": name, "size": 1} for name in ("adapter_model.safetensors", ADAPTER_CONFIG)]
    answer = gate.client.post("/v1/uploads", json={"files": files})
    assert answer.status_code == 201, answer.text
    upload_id: str = answer.json()["id"]
    return upload_id


def _webhook(gate: Gate) -> str:
    """Told of every job that ends from now on."""
    assert gate.client.post("/v1/webhooks/secret").status_code == 201
    answer = gate.client.post("/v1/webhooks", json={"url": "https://hooks.example.com/told"})
    assert answer.status_code == 201, answer.text
    webhook_id: str = answer.json()["id"]
    return webhook_id


def _jobs(gate: Gate, tenant: str) -> Iterator[str]:
    """One queued, one running, and one that ended in each way."""
    yield _posted(gate)
    running = _posted(gate)
    progress = Progress(stage="score", done=1, total=2, started_at=now())
    gate.services.queue.set_progress(running, progress)
    gate.services.queue.events.running(running, progress, begins=True)
    yield running
    verdicts: dict[Verdict, bytes | None] = {"projected": b"{}", "rejected": None}
    for verdict, attestation in verdicts.items():
        job_id = _posted(gate)
        request = gate.services.records.request(tenant, job_id)
        assert request is not None
        gate.finish(request, verdict, attestation=attestation)
        yield job_id
    ends: tuple[FinalState, ...] = (JobState.FAILED, JobState.CANCELLED)
    for state in ends:
        job_id = _posted(gate)
        error = JobFailure(code="engine_error", message="why")
        failed = state is JobState.FAILED
        end = JobResult(state=state, finished_at=now(), error=error if failed else None)
        gate.services.records.finish(tenant, job_id, end)
        yield job_id


def _posted(gate: Gate) -> str:
    response = gate.post(weights=weights_of(new_job_id()), alignment="base")
    assert response.status_code == 202, response.text
    job_id: str = response.json()["id"]
    return job_id


def filled(path: str, values: dict[str, list[str]], parameters: list[str]) -> Iterator[str]:
    """The path with every choice of values for its parameters."""
    for chosen in itertools.product(*(values[name] for name in parameters)):
        yield path.format(**dict(zip(parameters, chosen, strict=True)))
