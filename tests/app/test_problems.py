"""Every error is a problem document, and none tells what it should not."""

import logging
from typing import NoReturn

import pytest

from core.errors import AdapterRejected, GateError, Unprocessable
from core.findings import finding
from core.settings import RedisSettings
from core.store import layout
from core.store.settings import StoreSettings
from tests.app.conftest import OpenGate
from tests.app.gate import Gate, code_of


def fail_with(gate: Gate, error: Exception) -> None:
    """Make one address fail."""

    def route() -> NoReturn:
        raise error

    gate.client.app.add_api_route("/broken", route, response_model=None)  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["/nowhere", "/v1", "/v1/jobs/a/b/c", "/V1/jobs"])
def test_unknown_address(gate: Gate, path: str) -> None:
    """404 as a problem too."""
    response = gate.client.get(path)
    assert (response.status_code, code_of(response)) == (404, "not_found")


def test_a_slash_too_many_is_another_address(gate: Gate) -> None:
    """No redirect: it would lead wherever the Host header says, and keys go along."""
    for path in ("/v1/jobs/", "/v1/webhooks/secret/", "/readyz/", "//v1/jobs"):
        response = gate.client.get(path, follow_redirects=False)
        assert (response.status_code, code_of(response)) == (404, "not_found"), path


def test_wrong_method(gate: Gate) -> None:
    """405 says which are right, all of them."""
    response = gate.client.delete("/v1/jobs")
    assert (response.status_code, code_of(response)) == (405, "method_not_allowed")
    assert response.headers["allow"] == "GET, POST"
    named = gate.client.post("/v1/alignments/base")
    assert named.headers["allow"] == "DELETE, GET, PATCH"
    secret = gate.client.delete("/v1/webhooks/secret")  # an address of its own, and no webhook's
    assert (secret.status_code, secret.headers["allow"]) == (405, "GET, POST")


def test_unforeseen_error_is_opaque(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets a reference; what happened is in the log under it, and nowhere else."""
    fail_with(gate, RuntimeError("the secret is hunter2"))
    with caplog.at_level(logging.ERROR):
        response = gate.client.get("/broken")
    assert (response.status_code, code_of(response)) == (500, "internal_error")
    assert "hunter2" not in response.text
    assert "Traceback" not in response.text
    reference = response.json()["reference"]
    [record] = [r for r in caplog.records if reference in r.getMessage()]
    assert record.exc_info is not None


def test_our_own_errors_keep_to_the_log(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """A code and a reference; which object failed, and how, is the operator's to know."""
    key = layout.alignment_name("base")
    gate.services.store.put(key, b"garbage")
    with caplog.at_level(logging.ERROR):
        response = gate.client.get("/v1/alignments/base")
    assert (response.status_code, code_of(response)) == (500, "record_unreadable")
    assert "retry-after" not in response.headers
    assert key not in response.text
    [record] = [r for r in caplog.records if response.json()["reference"] in r.getMessage()]
    assert key in record.getMessage()


def test_details_cannot_replace_the_problem(gate: Gate) -> None:
    """Further members are further members."""
    error = Unprocessable("do this", code="some_code", status=200, title="fine", member="'x'")
    fail_with(gate, error)
    response = gate.client.get("/broken")
    assert (response.status_code, code_of(response)) == (422, "some_code")
    assert response.json()["title"] != "fine"
    assert response.json()["member"] == "'x'"


def test_findings_travel_in_a_problem(gate: Gate) -> None:
    """An adapter refused before it became a job says why, as the job would."""
    fail_with(gate, AdapterRejected([finding("empty_file", "file", "adapter_model.safetensors")]))
    response = gate.client.get("/broken")
    assert (response.status_code, code_of(response)) == (422, "adapter_rejected")
    assert response.json()["findings"][0]["code"] == "empty_file"


@pytest.mark.parametrize("status", [503, 429])
def test_passing_troubles_say_when_to_come_back(gate: Gate, status: int) -> None:
    """Retry-After, in seconds."""
    error = GateError("later", code="store_unavailable")
    error.status = status
    fail_with(gate, error)
    response = gate.client.get("/broken")
    assert response.status_code == status
    assert int(response.headers["retry-after"]) > 0


def test_hostile_text_stays_text(gate: Gate) -> None:
    """Half characters in a message must not turn a 422 into a 500."""
    fail_with(gate, Unprocessable("half \ud800 a character", code="odd"))
    assert code_of(gate.client.get("/broken")) == "odd"


def test_validation_does_not_echo(gate: Gate) -> None:
    """The input may hold what its sender wants nobody to see."""
    response = gate.client.get("/v1/jobs?limit=hunter2")
    assert (response.status_code, code_of(response)) == (422, "validation_failed")
    assert "hunter2" not in response.text
    assert response.json()["problems"][0]["field"] == "query.limit"


def test_an_api_without_redis_is_ready_and_says_so(open_gate: OpenGate) -> None:
    """It keeps what is posted; were it taken out for Redis, callers would have nowhere to go."""
    found = open_gate().client.get("/readyz").json()
    assert (found["status"], found["checks"]["store"], found["checks"]["redis"]) == ("ok",) * 3
    gate = open_gate(redis=RedisSettings.model_validate({"url": "redis://127.0.0.1:1/0"}))
    found = gate.client.get("/readyz")
    assert found.status_code == 200
    assert found.json()["warnings"] == ["redis", "workers", "courier"]
    assert found.json()["checks"]["redis"] == "failed"
    gate.register()
    assert gate.post().status_code == 202


def test_readiness_on_s3(s3_gate: Gate, open_gate: OpenGate) -> None:
    """503 names what failed; the bucket is asked for, not only the address."""
    assert s3_gate.client.get("/readyz").status_code == 200
    settings = s3_gate.services.settings.store.s3
    assert settings is not None
    missing = settings.model_copy(update={"bucket": "no-such-bucket"})
    gate = open_gate(store=StoreSettings(kind="s3", s3=missing))
    response = gate.client.get("/readyz")
    assert (response.status_code, code_of(response)) == (503, "not_ready")
    assert response.json()["failed"] == ["store"]
    assert response.headers["retry-after"]
    assert gate.client.get("/livez").status_code == 200


def test_version_names_the_engine(gate: Gate) -> None:
    """The engine's version is part of every result's identity."""
    assert gate.client.get("/version").json()["engine"]
