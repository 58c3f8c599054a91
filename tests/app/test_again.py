"""The input of an earlier job, judged anew by another policy."""

from typing import Any

from httpx2 import Response

from core.jobs import JobState
from core.store import layout
from tests.app.conftest import OpenGate
from tests.app.following import end, remove
from tests.app.gate import CONFIG, WEIGHTS, Gate, code_of
from tests.app.test_access import access, bearer, key

STRONGER = {"selection": {"threshold": 0.9}}


def again(
    gate: Gate, job_id: str, headers: dict[str, str] | None = None, **fields: Any
) -> Response:
    body = {"source": f"job:{job_id}", **fields}
    return gate.client.post("/v1/jobs", json=body, headers=headers or {})


def test_input_is_judged_by_another_policy(any_gate: Gate) -> None:
    """By the same alignment if none is named; the bytes are the new job's own."""
    any_gate.register()
    any_gate.register("other")
    old = any_gate.post(alignment="base").json()
    any_gate.finish(any_gate.request_of(any_gate.client.get(f"/v1/jobs/{old['id']}")))
    response = again(any_gate, old["id"], policy=STRONGER)
    new = response.json()
    assert (response.status_code, new["state"]) == (202, "queued")
    assert (new["source"], new["alignment"]) == (f"job:{old['id']}", old["alignment"])
    assert new["policy"]["selection"]["threshold"] == 0.9
    assert new["input"] == old["input"]
    assert remove(any_gate, old["id"]).status_code == 204
    request = any_gate.request_of(response)
    stored = {f.name: any_gate.services.store.get(f.key) for f in request.files if f.key}
    assert stored == {"adapter_model.safetensors": WEIGHTS, "adapter_config.json": CONFIG}


def test_same_policy_is_answered_from_its_result(gate: Gate) -> None:
    """The bytes are known, so the recipe is."""
    gate.register()
    old = gate.post()
    gate.finish(gate.request_of(old))
    response = again(gate, old.json()["id"])
    assert (response.status_code, response.json()["state"]) == (200, "succeeded")
    assert response.json()["from_earlier_result"] is True
    assert all(file.key is None for file in gate.request_of(response).files)


def test_job_answered_from_a_result_has_the_input_of_the_one_that_made_it(gate: Gate) -> None:
    """As long as that one is kept: its own upload was not stored."""
    gate.register()
    first = gate.post()
    gate.finish(gate.request_of(first))
    second = gate.post().json()
    assert second["from_earlier_result"] is True
    response = again(gate, second["id"], policy=STRONGER)
    assert response.status_code == 202
    assert all(file.key is not None for file in gate.request_of(response).files)
    assert remove(gate, first.json()["id"]).status_code == 204
    gone = again(gate, second["id"], policy={"selection": {"threshold": 0.8}})
    assert (gone.status_code, code_of(gone)) == (410, "input_expired")


def test_input_that_is_gone_is_said_to_be(any_gate: Gate) -> None:
    """Nothing is accepted in its place."""
    any_gate.register()
    job = any_gate.request_of(any_gate.post())
    end(any_gate, job.id, JobState.FAILED)
    any_gate.services.store.delete(layout.job_input("default", job.id, "adapter_config.json"))
    before = list(any_gate.services.records.job_ids("default"))
    response = again(any_gate, job.id)
    assert (response.status_code, code_of(response)) == (410, "input_expired")
    assert list(any_gate.services.records.job_ids("default")) == before


def test_job_of_another_tenant_is_no_source(open_gate: OpenGate) -> None:
    """Nor one that is no job's id, whatever it has in it: nobody learns that a job exists."""
    gate = open_gate(access=access(key("a" * 20, "alice", "jobs"), key("b" * 20, "bob", "jobs")))
    gate.register()
    hers = gate.client.post(
        "/v1/jobs", files={"adapter": WEIGHTS, "config": CONFIG}, headers=bearer("a" * 20)
    )
    assert hers.status_code == 202, hers.text
    for job_id in (hers.json()["id"], "", "0" * 26, "../alice", f"{hers.json()['id']}/input"):
        response = again(gate, job_id, bearer("b" * 20))
        assert (response.status_code, code_of(response)) == (404, "job_not_found")


def test_floor_holds(open_gate: OpenGate) -> None:
    """What one key may not post, it may not do again either."""
    gate = open_gate(access=access(key("a" * 20, "alice", "jobs")))
    gate.register()
    old = gate.client.post(
        "/v1/jobs", files={"adapter": WEIGHTS, "config": CONFIG}, headers=bearer("a" * 20)
    ).json()
    response = again(gate, old["id"], bearer("a" * 20), policy={"selection": {"threshold": 0.1}})
    assert (response.status_code, code_of(response)) == (403, "policy_below_floor")


def test_same_key_makes_one_job(gate: Gate) -> None:
    """An Idempotency-Key stands for the request as it does for any other."""
    gate.register()
    old = gate.post().json()
    sent = {"Idempotency-Key": "4f8c"}
    first, second = (again(gate, old["id"], sent, policy=STRONGER).json() for _ in range(2))
    assert first["id"] == second["id"]
    other = again(gate, old["id"], sent, policy={"selection": {"threshold": 0.8}})
    assert (other.status_code, code_of(other)) == (422, "idempotency_key_reused")
