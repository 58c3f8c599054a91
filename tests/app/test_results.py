"""What a job left: report and adapter."""

import csv
import io
import json
import os
import time
import zipfile
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from core.jobs import Commit, FinalState, JobFailure, JobResult, JobState, now
from core.settings import RetentionSettings
from tests.app.conftest import OpenGate
from tests.app.gate import REPORT, SANITIZED, Gate, code_of
from worker.expiry import expire

PATHS = [
    *("/report", "/report.json", "/report.html", "/report.csv"),
    *("/adapter", "/adapter/adapter_config.json"),
]


def succeeded(gate: Gate, *, archive: bool = False) -> str:
    gate.register()
    response = gate.post()
    gate.finish(gate.request_of(response), archive=archive)
    job_id: str = response.json()["id"]
    return job_id


def body(gate: Gate, url: str) -> bytes:
    """What a client gets that follows redirects, out to the object store if need be."""
    response = gate.client.get(url)
    if response.status_code == 303:
        response = httpx2.get(response.headers["location"])
    assert response.status_code == 200
    return response.content


def expire_all(gate: Gate, **days: float) -> None:
    """What these days say, a year later."""
    later = datetime.now(UTC) + timedelta(days=365)
    expire(gate.services.store, RetentionSettings(**days), later)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "json"),
        ("*/*", "json"),
        ("application/json", "json"),
        ("text/html", "html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
        ("text/html;q=0.1, application/json", "json"),
        ("text/html;q=0.1, */*;q=0", "html"),
        ("text/*", "html"),
        ("text/csv;q=0.2, text/html;q=0.1", "csv"),
        ("text/csv, application/json", "json"),
        ("nonsense;q=high,;", "json"),
    ],
)
def test_report_comes_as_it_is_asked_for(gate: Gate, accept: str | None, kind: str) -> None:
    """JSON for programs, a page for browsers, CSV for spreadsheets."""
    job_id = succeeded(gate)
    headers = {} if accept is None else {"Accept": accept}
    response = gate.client.get(f"/v1/jobs/{job_id}/report", headers=headers)
    named = gate.client.get(f"/v1/jobs/{job_id}/report.{kind}")
    assert response.content == named.content
    assert response.headers["content-type"].startswith(
        {"json": "application/json", "html": "text/html", "csv": "text/csv"}[kind]
    )
    assert response.headers["vary"] == "Accept"


def test_report_by_name(any_gate: Gate) -> None:
    """Byte for byte as the worker stored it."""
    job_id = succeeded(any_gate)
    for name, data in REPORT.items():
        assert body(any_gate, f"/v1/jobs/{job_id}/{name}") == data


def test_page_of_the_report_can_do_nothing_of_its_own(gate: Gate) -> None:
    """It shows names out of an adapter: no script, no request, no guessing of types."""
    job_id = succeeded(gate)
    response = gate.client.get(f"/v1/jobs/{job_id}/report.html")
    assert response.headers["content-security-policy"] == (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    assert response.headers["x-content-type-options"] == "nosniff"


def test_rows_of_the_report_come_as_csv(gate: Gate) -> None:
    """The JSON's own names and numbers; a name that is a formula is none to a spreadsheet."""
    gate.register()
    response = gate.post()
    rows = [{"name": "=cmd()", "cosine": -0.25}, {"name": "q_proj", "cosine": None}]
    stored = json.dumps({"verdict": "projected", "modules": rows}).encode()
    gate.finish(gate.request_of(response), report=stored)
    answer = gate.client.get(f"/v1/jobs/{response.json()['id']}/report.csv")
    read = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["name"], row["cosine"]) for row in read] == [("'=cmd()", "-0.25"), ("q_proj", "")]
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("archive", [True, False])
def test_adapter_comes_as_a_zip(any_gate: Gate, archive: bool) -> None:
    """From the store itself where it has URLs, else packed on the way; nothing but two files."""
    job_id = succeeded(any_gate, archive=archive)
    data = body(any_gate, f"/v1/jobs/{job_id}/adapter")
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        assert {name: packed.read(name) for name in packed.namelist()} == SANITIZED
        assert packed.testzip() is None


def test_bytes_of_the_adapter_do_not_cross_the_api_on_s3(s3_gate: Gate) -> None:
    """303 to a signed URL, which gives the file a name and ends in time."""
    job_id = succeeded(s3_gate, archive=True)
    for path in ("/adapter", "/adapter/adapter_model.safetensors"):
        response = s3_gate.client.get(f"/v1/jobs/{job_id}{path}")
        assert response.status_code == 303
        location = response.headers["location"]
        assert "X-Amz-Signature=" in location
        assert "X-Amz-Expires=900" in location
        assert "attachment" in httpx2.get(location).headers["content-disposition"]


def test_local_zip_is_the_same_every_time(gate: Gate) -> None:
    """No time in it, so that its digest can be compared."""
    job_id = succeeded(gate)
    url = f"/v1/jobs/{job_id}/adapter"
    first = gate.client.get(url)
    assert first.content == gate.client.get(url).content
    assert first.headers["content-type"] == "application/zip"
    assert first.headers["content-disposition"] == f'attachment; filename="{job_id}.zip"'


def test_adapter_comes_file_by_file(any_gate: Gate) -> None:
    """Byte for byte."""
    job_id = succeeded(any_gate)
    for name, data in SANITIZED.items():
        assert body(any_gate, f"/v1/jobs/{job_id}/adapter/{name}") == data


@pytest.mark.parametrize(
    "name", ["report.json", "adapter.zip", "adapter_model.bin", "..%2fcommit.json", "%2e%2e"]
)
def test_no_other_file_is_given_out(gate: Gate, name: str) -> None:
    """Two names, and nothing that a path could make of another."""
    response = gate.client.get(f"/v1/jobs/{succeeded(gate)}/adapter/{name}")
    assert response.status_code == 404
    assert code_of(response) in ("file_not_found", "not_found")


@pytest.mark.parametrize("path", PATHS)
def test_nothing_before_the_end(gate: Gate, path: str) -> None:
    """A job under way has no result."""
    gate.register()
    job_id = gate.post().json()["id"]
    response = gate.client.get(f"/v1/jobs/{job_id}{path}")
    assert (response.status_code, code_of(response)) == (409, "job_not_finished")


@pytest.mark.parametrize("path", ["/adapter", "/adapter/adapter_model.safetensors"])
def test_rejected_adapter_is_not_given_out(gate: Gate, path: str) -> None:
    """Fail closed: neither the original nor half a result; the findings say why."""
    gate.register()
    response = gate.post()
    gate.finish(gate.request_of(response), "rejected")
    job_id = response.json()["id"]
    refused = gate.client.get(f"/v1/jobs/{job_id}{path}")
    assert (refused.status_code, code_of(refused)) == (409, "job_rejected")
    assert refused.json()["findings"][0]["code"] == "non_finite"
    assert gate.client.get(f"/v1/jobs/{job_id}/report").status_code == 200


@pytest.mark.parametrize("path", ["/adapter", "/adapter/adapter_config.json"])
def test_scoring_publishes_no_adapter(gate: Gate, path: str) -> None:
    """Nothing was attested, so nothing is handed out."""
    gate.register()
    response = gate.post()
    gate.finish(gate.request_of(response), "scored")
    refused = gate.client.get(f"/v1/jobs/{response.json()['id']}{path}")
    assert (refused.status_code, code_of(refused)) == (409, "no_adapter")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("state", "code"), [(JobState.FAILED, "job_failed"), (JobState.CANCELLED, "job_cancelled")]
)
def test_job_without_result_says_so(gate: Gate, path: str, state: FinalState, code: str) -> None:
    """Why, and that it can be posted again."""
    gate.register()
    job_id = gate.post().json()["id"]
    error = JobFailure(code="engine_error", message="the disk is full")
    gate.services.records.finish(
        "default", job_id, JobResult(state=state, finished_at=now(), error=error)
    )
    response = gate.client.get(f"/v1/jobs/{job_id}{path}")
    assert (response.status_code, code_of(response)) == (409, code)


@pytest.mark.parametrize("path", [*PATHS, "/adapter/adapter_model.safetensors"])
def test_expired_result_says_so(any_gate: Gate, path: str) -> None:
    """410, and what to do, before any redirect; the job itself can still be asked for."""
    job_id = succeeded(any_gate, archive=True)
    expire_all(any_gate, results=30)
    response = any_gate.client.get(f"/v1/jobs/{job_id}{path}")
    assert (response.status_code, code_of(response)) == (410, "result_expired")
    assert "post the adapter again" in response.json()["detail"]
    job = any_gate.client.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], job["verdict"]) == ("succeeded", "projected")


def test_expired_adapter_can_be_posted_again(gate: Gate) -> None:
    """It is queued with its input, and the old job gives out the new result, which is the same."""
    job_id = succeeded(gate)
    expire_all(gate, results=30)
    again = gate.post()
    assert (again.status_code, again.json()["state"]) == (202, "queued")
    request = gate.request_of(again)
    assert all(file.key and gate.services.store.info(file.key) for file in request.files)
    gate.finish(request)
    assert body(gate, f"/v1/jobs/{job_id}/report.json") == REPORT["report.json"]


def test_result_of_other_files_is_not_the_old_jobs(gate: Gate) -> None:
    """Where the recipe was worked out anew and came out otherwise, the first result has expired."""
    job_id = succeeded(gate)
    [key] = [key for key in gate.services.store.list("tenants/") if key.endswith("/commit.json")]
    stored = Commit.model_validate_json(gate.services.store.get(key))
    expire_all(gate, results=30)
    gate.services.store.put(key, stored.model_copy(update={"output": "other"}).as_bytes())
    response = gate.client.get(f"/v1/jobs/{job_id}/report")
    assert (response.status_code, code_of(response)) == (410, "result_expired")


def test_half_a_result_is_not_answered_with(gate: Gate) -> None:
    """The same upload again is worked on again where one of the files is missing."""
    succeeded(gate)
    assert gate.post().status_code == 200
    lost = next(key for key in gate.services.store.list("tenants/") if "/out/" in key)
    gate.services.store.delete(lost)
    assert gate.post().status_code == 202


def test_result_that_answers_again_is_kept_for_longer(
    open_gate: OpenGate,
) -> None:
    """Past half its days its commit is put anew; before, it is not."""
    gate = open_gate(retention=RetentionSettings(results=1))
    succeeded(gate)
    [key] = [key for key in gate.services.store.list("tenants/") if key.endswith("/commit.json")]
    first = gate.services.store.info(key)
    assert gate.post().status_code == 200
    assert gate.services.store.info(key) == first
    path = gate.services.settings.store.path / key
    half = time.time() - 13 * 3600
    os.utime(path, (half, half))
    assert gate.post().status_code == 200
    assert time.time() - path.stat().st_mtime < 60


def test_expired_job_is_gone(gate: Gate) -> None:
    """As if it never was: 404, and in no list."""
    job_id = succeeded(gate)
    expire_all(gate, jobs=30)
    for path in ("", *PATHS):
        response = gate.client.get(f"/v1/jobs/{job_id}{path}")
        assert (response.status_code, code_of(response)) == (404, "job_not_found")
    assert gate.client.get("/v1/jobs").json()["jobs"] == []


def test_missing_file_is_our_fault_and_never_half_an_answer(gate: Gate) -> None:
    """A store that lost a file is a 5xx before the first byte."""
    job_id = succeeded(gate)
    [key] = [
        key
        for key in gate.services.store.list("tenants/")
        if key.endswith("/adapter_config.json") and "/results/" in key
    ]
    gate.services.store.delete(key)
    for path in ("/adapter", "/adapter/adapter_config.json"):
        response = gate.client.get(f"/v1/jobs/{job_id}{path}")
        assert (response.status_code, code_of(response)) == (503, "object_missing")
