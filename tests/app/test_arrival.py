"""Files go to the object store while they arrive: what makes no job is taken back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx2 import Response

from app.intake.arrival import Arrival
from core.errors import StoreError
from core.jobs import InputFile, JobRequest
from core.settings import RetentionSettings
from core.store import layout
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL
from tests.app.gate import CONFIG, WEIGHTS, Gate, code_of, weights_of
from worker.expiry import ExpiryCounts, expire

KEY = "5a1c1b9e"


def of_jobs(gate: Gate) -> set[str]:
    """What lies under jobs and marks."""
    return {
        key for key in gate.services.store.list("tenants/") if "/jobs/" in key or "/pending/" in key
    }


def inputs(gate: Gate, request: JobRequest) -> dict[str, bytes]:
    prefix = layout.job_inputs(request.tenant, request.id)
    store = gate.services.store
    return {key.removeprefix(prefix): store.get(key) for key in store.list(prefix)}


@pytest.mark.parametrize(
    "fields",
    [
        {"alignment": "unknown"},
        {"policy": "{"},
        {"destination": "s3://x/y/"},
        {"idempotency_key": "\t"},
    ],
)
def test_what_is_refused_leaves_nothing(any_gate: Gate, fields: dict[str, str]) -> None:
    """Though both files had arrived before it was known."""
    any_gate.register()
    assert any_gate.post(**fields).status_code in (403, 422)  # type: ignore[arg-type]
    assert of_jobs(any_gate) == set()
    assert list(any_gate.services.store.unfinished("tenants/")) == []


def test_a_form_that_breaks_off_after_a_file_leaves_nothing(any_gate: Gate) -> None:
    """The weights were whole, and in the store."""
    any_gate.register()
    response = any_gate.client.post("/v1/jobs", files={"adapter": WEIGHTS})
    assert (response.status_code, code_of(response)) == (422, "part_missing")
    assert of_jobs(any_gate) == set()


def test_nothing_of_it_lies_on_the_disk(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while it comes nor afterwards: no scratch folder is made for it."""
    gate.register()
    seen: list[bool] = []
    commit = Arrival.inputs

    def looking(self: Arrival, *args: object, **kwargs: object) -> list[InputFile]:
        seen.append(bool(gate.scratch()))
        return commit(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Arrival, "inputs", looking)
    assert gate.post().status_code == 202
    assert seen == [False]


def test_an_earlier_result_needs_no_input(any_gate: Gate) -> None:
    """What was sent again is deleted again, and the job has its result."""
    any_gate.register()
    any_gate.finish(any_gate.request_of(any_gate.post()))
    again = any_gate.post(idempotency_key=KEY)
    assert again.status_code == 200
    request = any_gate.request_of(again)
    assert [file.key for file in request.files] == [None, None]
    assert inputs(any_gate, request) == {}
    assert list(any_gate.services.records.pending()) == []


def test_the_same_request_again_leaves_one_input(any_gate: Gate) -> None:
    """That of the job the key stands for."""
    any_gate.register()
    first = any_gate.request_of(any_gate.post(idempotency_key=KEY))
    before = of_jobs(any_gate)
    assert any_gate.post(idempotency_key=KEY).json()["id"] == first.id
    assert of_jobs(any_gate) == before
    assert inputs(any_gate, first) == {ADAPTER_MODEL: WEIGHTS, ADAPTER_CONFIG: CONFIG}


Fails = Callable[[pytest.MonkeyPatch, Gate], None]


def failing(name: str) -> Fails:
    def patched(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
        def fails(*_: object) -> None:
            raise StoreError("The store went away.")

        monkeypatch.setattr(gate.services.records, name, fails)

    return patched


def test_a_key_that_stands_for_no_job_gets_its_input(
    any_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try was cut off after it had claimed the key: the second is that job, with all of
    its input, and has none of its own."""
    any_gate.register()
    with monkeypatch.context() as patched:
        failing("accept")(patched, any_gate)
        assert any_gate.post(idempotency_key=KEY).status_code == 503
    [(_, first)] = any_gate.services.records.pending()
    response = any_gate.post(idempotency_key=KEY)
    assert (response.status_code, response.json()["id"]) == (202, first)
    request = any_gate.request_of(response)
    assert [file.key for file in request.files] == [
        layout.job_input("default", first, file.name) for file in request.files
    ]
    assert inputs(any_gate, request) == {ADAPTER_MODEL: WEIGHTS, ADAPTER_CONFIG: CONFIG}
    assert list(any_gate.services.records.pending()) == [("default", first)]
    assert {key.split("/")[3] for key in of_jobs(any_gate)} == {first}


def test_an_accepted_job_keeps_its_input_though_the_answer_was_lost(
    any_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store took the request and could not say so: the caller is told 503, and the job runs."""
    any_gate.register()
    records = any_gate.services.records
    accept = records.accept

    def silent(request: JobRequest) -> None:
        accept(request)
        raise StoreError("The answer was lost.")

    with monkeypatch.context() as patched:
        patched.setattr(records, "accept", silent)
        assert any_gate.post().status_code == 503
    [(tenant, job_id)] = records.pending()
    request = records.request(tenant, job_id)
    assert request is not None
    assert inputs(any_gate, request) == {ADAPTER_MODEL: WEIGHTS, ADAPTER_CONFIG: CONFIG}


def test_what_another_request_under_the_key_brought_is_not_taken_away(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one claims the key and fails; the other goes on under its id before it has
    cleaned up."""
    gate.register()
    inputs_of = Arrival.inputs
    others: list[Response] = []
    begun: list[bool] = []

    def fails_after_the_claim(self: Arrival, *args: Any, **kwargs: Any) -> list[InputFile]:
        assert list(gate.services.store.list(layout.idempotency_claims("default")))
        if not begun:
            begun.append(True)
            others.append(gate.post(idempotency_key=KEY))
            raise StoreError("The store went away.")
        return inputs_of(self, *args, **kwargs)

    monkeypatch.setattr(Arrival, "inputs", fails_after_the_claim)
    assert gate.post(idempotency_key=KEY).status_code == 503
    [other] = others
    assert other.status_code == 202
    assert inputs(gate, gate.request_of(other)) == {ADAPTER_MODEL: WEIGHTS, ADAPTER_CONFIG: CONFIG}


@pytest.mark.parametrize("whole", [0, 1, 2])
def test_what_a_killed_gate_leaves_expires(any_gate: Gate, whole: int) -> None:
    """After any number of files, and within the next: found by its mark."""
    arrival = Arrival(any_gate.services, "default")
    for name in (ADAPTER_CONFIG, ADAPTER_MODEL)[:whole]:
        with arrival.writer(name) as writer:
            writer.write(WEIGHTS)
    half = arrival.writer(ADAPTER_MODEL)
    half.write(weights_of("x" * 20_000_000))
    store, now = any_gate.services.store, datetime.now(UTC)
    assert expire(store, RetentionSettings(), now + timedelta(hours=23)) == ExpiryCounts()
    later = now + timedelta(hours=25)
    assert expire(store, RetentionSettings(), later) == ExpiryCounts(uploads=1, puts=1)
    assert of_jobs(any_gate) == set()
    assert list(store.unfinished("")) == []
    half.abort()


def test_an_upload_that_lasts_too_long_is_refused(gate: Gate) -> None:
    """Its first file may have expired by now, so that it must not become a job."""
    gate.register()
    retention = gate.services.settings.retention.model_copy(update={"abandoned": -1.0})
    settings = gate.services.settings.model_copy(update={"retention": retention})
    object.__setattr__(gate.services, "settings", settings)
    response = gate.post()
    assert (response.status_code, code_of(response)) == (408, "request_timeout")
    assert of_jobs(gate) == set()
