"""Trying jobs again that failed or were cancelled."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.canonical import sha256_hex
from core.jobs import FinalState, JobState
from core.scopes import POLICY_OVERRIDE
from core.settings import QueueSettings
from core.store import layout
from core.store.base import ObjectMissing
from tests.app.conftest import OpenGate
from tests.app.following import (
    cancel,
    end,
    frames_of_ended,
    posted,
    remove,
    retry,
    succeed,
    told,
)
from tests.app.gate import CONFIG, WEIGHTS, Gate, code_of, weaker_policy
from tests.app.test_access import access, bearer, key

KEY = "4f8c2e9a"


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_retry_makes_a_new_job_of_the_same(any_gate: Gate, state: FinalState) -> None:
    """Same input, alignment, policy and metadata; the old one stays as it is."""
    any_gate.register()
    policy = json.dumps({"selection": {"threshold": 0.9}})
    old = any_gate.post(policy=policy, metadata='{"run": "7"}').json()
    end(any_gate, old["id"], state)
    response = retry(any_gate, old["id"])
    new = response.json()
    assert (response.status_code, new["state"], new["retry_of"]) == (202, "queued", old["id"])
    assert response.headers["Location"] == f"/v1/jobs/{new['id']}"
    assert response.headers["Retry-After"] == "1"
    for same in ("alignment", "policy", "metadata", "input", "source"):
        assert new[same] == old[same]
    assert any_gate.queued()[-1] == new["id"]
    assert any_gate.client.get(f"/v1/jobs/{old['id']}").json()["state"] == state
    assert told(frames_of_ended(any_gate, new["id"])) == ["queued", "failed"]


def test_retried_job_has_its_input_to_itself(any_gate: Gate) -> None:
    """The old job's expiry, or removal, takes nothing from it."""
    any_gate.register()
    job_id = any_gate.post().json()["id"]
    end(any_gate, job_id)
    request = any_gate.request_of(retry(any_gate, job_id))
    assert remove(any_gate, job_id).status_code == 204
    stored = {f.name: any_gate.services.store.get(f.key) for f in request.files if f.key}
    assert stored == {"adapter_model.safetensors": WEIGHTS, "adapter_config.json": CONFIG}
    assert {f.name: f.sha256 for f in request.files} == {
        name: sha256_hex(data) for name, data in stored.items()
    }
    assert any_gate.scratch() == []


def test_retry_of_a_retry(gate: Gate) -> None:
    """Each names the one before; all can be done again, more than once."""
    gate.register()
    first = gate.post().json()["id"]
    end(gate, first)
    second = retry(gate, first).json()["id"]
    end(gate, second, JobState.CANCELLED)
    third = retry(gate, second).json()
    assert third["retry_of"] == second
    assert retry(gate, first).json()["id"] not in (first, second, third["id"])
    succeed(gate, third["id"])
    assert gate.client.get(f"/v1/jobs/{third['id']}").json()["state"] == "succeeded"


def test_pinned_source_is_pinned_as_before(gate: Gate) -> None:
    """There is nothing of ours to copy."""
    gate.register()
    job_id = gate.post().json()["id"]
    request = gate.services.records.request("default", job_id)
    assert request is not None
    pinned = [
        file.model_copy(update={"key": None, "uri": f"s3://b/{file.name}", "etag": "1"})
        for file in request.files
    ]
    stored = request.model_copy(update={"files": pinned, "source": "s3://b/"})
    gate.services.store.put(layout.job_request("default", job_id), stored.as_bytes())
    end(gate, job_id)
    assert gate.request_of(retry(gate, job_id)).files == pinned


@pytest.mark.parametrize("state", [None, JobState.SUCCEEDED, JobState.REJECTED])
def test_only_what_failed_or_was_cancelled_is_retried(gate: Gate, state: FinalState | None) -> None:
    """The same would come of it again, or is on its way."""
    gate.register()
    job_id = posted(gate)
    if state is not None:
        end(gate, job_id, state)
    response = retry(gate, job_id)
    assert (response.status_code, code_of(response)) == (409, "job_not_retryable")
    assert response.json()["state"] == (state or "queued")
    assert len(gate.client.get("/v1/jobs").json()["jobs"]) == 1


def test_retry_without_its_input_is_refused(any_gate: Gate) -> None:
    """410, and nothing is left behind, not even a claim of the key."""
    any_gate.register()
    job_id = posted(any_gate)
    end(any_gate, job_id)
    any_gate.services.store.delete(layout.job_input("default", job_id, "adapter_model.safetensors"))
    before = list(any_gate.services.store.list("tenants/"))
    response = retry(any_gate, job_id, KEY)
    assert (response.status_code, code_of(response)) == (410, "input_expired")
    assert list(any_gate.services.store.list("tenants/")) == before


def test_input_that_goes_meanwhile_is_refused_too(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expiry may come between looking and copying: no job is made."""
    gate.register()
    job_id = posted(gate)
    end(gate, job_id)

    def gone(name: str, *_: object) -> str:
        raise ObjectMissing(name)

    monkeypatch.setattr(gate.services.store, "copy", gone)
    response = retry(gate, job_id)
    assert (response.status_code, code_of(response)) == (410, "input_expired")
    assert len(gate.client.get("/v1/jobs").json()["jobs"]) == 1


def test_retry_honours_its_idempotency_key(any_gate: Gate) -> None:
    """Sent again, at once even, it is one job; for another job the key is used up."""
    any_gate.register()
    job_id, other = posted(any_gate), posted(any_gate)
    end(any_gate, job_id)
    end(any_gate, other)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: retry(any_gate, job_id, KEY), range(4)))
    assert {answer.status_code for answer in answers} == {202}
    [new] = {answer.json()["id"] for answer in answers}
    assert code_of(retry(any_gate, other, KEY)) == "idempotency_key_reused"
    assert code_of(any_gate.post(idempotency_key=KEY)) == "idempotency_key_reused"
    end(any_gate, new)
    remove(any_gate, job_id)
    again = retry(any_gate, job_id, KEY)
    assert (again.status_code, again.json()["id"]) == (200, new)


def test_retry_goes_below_no_floor(open_gate: OpenGate) -> None:
    """Not under another key's leave, nor one that was raised since."""
    keys = access(key("low", "t", "jobs"), key("high", "t", "jobs", POLICY_OVERRIDE))
    gate = open_gate(access=keys)
    gate.register()
    job_id = gate.client.post(
        "/v1/jobs",
        files={"adapter": WEIGHTS, "config": CONFIG},
        data={"policy": weaker_policy()},
        headers=bearer("high"),
    ).json()["id"]
    gate.client.post(f"/v1/jobs/{job_id}/cancel", headers=bearer("low"))
    path = f"/v1/jobs/{job_id}/retry"
    refused = gate.client.post(path, headers=bearer("low"))
    assert (refused.status_code, code_of(refused)) == (403, "policy_below_floor")
    again = gate.client.post(path, headers=bearer("high"))
    assert (again.status_code, again.json()["below_floor"]) == (202, ["selection"])


def test_a_retry_is_held_against_the_floor_of_today(gate: Gate) -> None:
    """One that was below it says so no longer, once the floor is lower."""
    record = gate.register()
    request = gate.request_of(gate.post()).model_copy(update={"below_floor": ["selection"]})
    gate.services.store.put(layout.job_request("default", request.id), request.as_bytes())
    assert gate.client.get(f"/v1/jobs/{request.id}").json()["below_floor"] == ["selection"]
    end(gate, request.id)
    assert record.effective_floor == request.policy
    assert retry(gate, request.id).json()["below_floor"] == []


def test_retry_keeps_the_alignment_it_had(gate: Gate) -> None:
    """By id, as long as the name stands for it. What was replaced under its name, a pair that was
    found to be none to judge by for instance, judges no new job, and cancelled jobs are no store
    of leave to use it; nor is there a floor where the name stands for nothing any more."""
    record = gate.register()
    job_id = posted(gate)
    end(gate, job_id)
    assert gate.request_of(retry(gate, job_id)).alignment.id == record.id
    for other in (gate.register().name, "gone"):  # another pair under the same name; then none
        if other == "gone":
            gate.services.records.remove_alignment(record.name)
        response = retry(gate, job_id)
        assert (response.status_code, code_of(response)) == (409, "alignment_removed")


def test_full_queue_takes_no_retry(open_gate: OpenGate) -> None:
    """It is a job as any other."""
    gate = open_gate(queue=QueueSettings(name="test-retries", max_depth=1))
    gate.register()
    job_id = posted(gate)
    cancel(gate, job_id)
    posted(gate)
    response = retry(gate, job_id)
    assert (response.status_code, code_of(response)) == (503, "queue_full")


def test_job_that_retries_none_is_stored_as_before(gate: Gate) -> None:
    """A worker of the version before, which refuses fields that it does not know, can run it."""
    gate.register()
    request = gate.request_of(gate.post())
    stored = json.loads(gate.services.store.get(layout.job_request("default", request.id)))
    assert "retry_of" not in stored
    assert gate.client.get(f"/v1/jobs/{request.id}").json()["retry_of"] is None
