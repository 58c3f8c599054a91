"""Cancelling and removing jobs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from httpx2 import Response

from core.jobs import FinalState, JobState
from core.settings import QueueSettings, RedisSettings
from core.store import layout
from core.store.base import ObjectStore
from tests.app.conftest import OpenGate
from tests.app.following import (
    STARTED,
    cancel,
    end,
    follow,
    frames_of,
    frames_of_ended,
    keys_of,
    posted,
    remove,
    retry,
    run,
    succeed,
    told,
)
from tests.app.gate import CONFIG, WEIGHTS, Gate, code_of
from tests.app.test_access import access, bearer, key

KEY = "4f8c2e9a"


def test_queued_job_is_cancelled_and_off_the_queue(any_gate: Gate) -> None:
    """From the answer on it is `cancelled`, for all who ask, and no worker will see it."""
    any_gate.register()
    job_id = posted(any_gate)
    other = posted(any_gate)
    response = cancel(any_gate, job_id)
    assert (response.status_code, response.json()["state"]) == (200, "cancelled")
    assert response.json() == any_gate.client.get(f"/v1/jobs/{job_id}").json()
    assert any_gate.queued() == [other]
    assert [pending for _, pending in any_gate.services.records.pending()] == [other]
    report = any_gate.client.get(f"/v1/jobs/{job_id}/report")
    assert (report.status_code, code_of(report)) == (409, "job_cancelled")


def test_running_job_is_cancelled_and_its_worker_told(any_gate: Gate) -> None:
    """When it began stays known; the worker, telling how far it is, hears of an end."""
    any_gate.register()
    job_id = posted(any_gate)
    run(any_gate, job_id, 0, 3)
    job = cancel(any_gate, job_id).json()
    assert (job["state"], job["started_at"], job["progress"]) == ("cancelled", STARTED, None)
    assert any_gate.services.queue.redis.exists(f"safelora:ended:{job_id}")


def test_first_word_stands_against_a_worker_that_ends_later(any_gate: Gate) -> None:
    """What it still brings is shown to nobody."""
    any_gate.register()
    job_id = posted(any_gate)
    cancel(any_gate, job_id)
    assert succeed(any_gate, job_id).state is JobState.CANCELLED
    job = any_gate.client.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], job["verdict"], job["summary"]) == ("cancelled", None, None)
    assert job["links"].keys() == {"self"}
    for path in ("report", "report.html", "adapter", "adapter/adapter_model.safetensors"):
        response = any_gate.client.get(f"/v1/jobs/{job_id}/{path}")
        assert (response.status_code, code_of(response)) == (409, "job_cancelled")


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.SUCCEEDED])
def test_ended_job_is_not_cancelled(gate: Gate, state: FinalState) -> None:
    """409 that names how it ended, and it stays so."""
    gate.register()
    job_id = posted(gate)
    end(gate, job_id, state)
    response = cancel(gate, job_id)
    assert (response.status_code, code_of(response)) == (409, "job_ended")
    assert response.json()["state"] == state
    assert gate.client.get(f"/v1/jobs/{job_id}").json()["state"] == state


def test_cancelling_again_changes_nothing(gate: Gate) -> None:
    """A caller that lost the answer may send again."""
    gate.register()
    job_id = posted(gate)
    first = cancel(gate, job_id)
    again = cancel(gate, job_id)
    assert (again.status_code, again.json()) == (200, first.json())


def test_cancel_racing_the_end_has_one_winner(any_gate: Gate) -> None:
    """Either is answered by what stands: 200 and cancelled, or 409 and the result."""
    any_gate.register()
    for _ in range(8):
        job_id = posted(any_gate)
        with ThreadPoolExecutor(3) as pool:
            cancels = [pool.submit(cancel, any_gate, job_id) for _ in range(2)]
            finished = pool.submit(succeed, any_gate, job_id).result()
        job = any_gate.client.get(f"/v1/jobs/{job_id}").json()
        assert job["state"] == finished.state
        for response in (future.result() for future in cancels):
            assert response.status_code == (200 if job["state"] == "cancelled" else 409)
        assert (job["verdict"] is None) == (job["state"] == "cancelled")
        assert told(frames_of(follow(any_gate, job_id)))[-1] == job["state"]


def test_cancel_holds_without_redis(open_gate: OpenGate) -> None:
    """The store is the truth."""
    gate = open_gate(redis=RedisSettings.model_validate({"url": "redis://127.0.0.1:1/0"}))
    gate.register()
    job_id = posted(gate)
    assert cancel(gate, job_id).json()["state"] == "cancelled"
    assert gate.client.get(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"
    assert list(gate.services.records.pending()) == []
    assert retry(gate, job_id).status_code == 202
    assert remove(gate, job_id).status_code == 204


def test_cancelled_job_gives_its_tenants_place_on(open_gate: OpenGate) -> None:
    """A bound on how many are on their way counts it no longer, whether it waited or was next."""
    gate = open_gate(queue=QueueSettings(name="test-places", tenant_concurrency=1))
    gate.register()
    first, second, third = (posted(gate) for _ in range(3))
    assert gate.queued() == [first]
    cancel(gate, second)
    cancel(gate, first)
    assert gate.queued() == [third]
    assert gate.services.queue.on_their_way() == {third}


def test_removed_job_is_gone(any_gate: Gate) -> None:
    """With its input and its records; the result stays for who posts the same."""
    any_gate.register()
    job_id = any_gate.post().json()["id"]
    succeed(any_gate, job_id)
    response = remove(any_gate, job_id)
    assert (response.status_code, response.content) == (204, b"")
    assert keys_of(any_gate, job_id) == set()
    for answer in (
        any_gate.client.get(f"/v1/jobs/{job_id}"),
        any_gate.client.get(f"/v1/jobs/{job_id}/report"),
        follow(any_gate, job_id),
        cancel(any_gate, job_id),
        retry(any_gate, job_id),
        remove(any_gate, job_id),
    ):
        assert (answer.status_code, code_of(answer)) == (404, "job_not_found")
    assert any_gate.client.get("/v1/jobs").json()["jobs"] == []
    again = any_gate.post()
    assert (again.status_code, again.json()["from_earlier_result"]) == (200, True)


def test_job_that_has_not_ended_is_not_removed(gate: Gate) -> None:
    """Cancel it first: then it goes, and what its worker still brings goes too."""
    gate.register()
    job_id = posted(gate)
    request = gate.services.records.request("default", job_id)
    assert request is not None
    response = remove(gate, job_id)
    assert (response.status_code, code_of(response)) == (409, "job_not_ended")
    assert "input/adapter_model.safetensors" in keys_of(gate, job_id)
    cancel(gate, job_id)
    assert remove(gate, job_id).status_code == 204
    gate.finish(request)
    assert keys_of(gate, job_id) == set()
    assert list(gate.services.records.pending()) == []


@pytest.mark.parametrize("deletes", range(5))
def test_removal_that_breaks_off_leaves_no_unfinished_job(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, deletes: int
) -> None:
    """Wherever it stops: what callers still see has ended."""
    gate.register()
    job_id = posted(gate)
    end(gate, job_id)
    delete, left = type(gate.services.store).delete, [deletes]

    def dying(self: ObjectStore, name: str) -> None:
        if left[0] == 0:
            raise OSError("killed")
        left[0] -= 1
        delete(self, name)

    with monkeypatch.context() as patched:
        patched.setattr(type(gate.services.store), "delete", dying)
        assert remove(gate, job_id).status_code == 500
    assert "result.json" in keys_of(gate, job_id)
    answer = gate.client.get(f"/v1/jobs/{job_id}")
    assert answer.status_code == 404 or answer.json()["state"] == "failed"


def test_job_posted_again_under_a_removed_ones_id_runs(gate: Gate) -> None:
    """An Idempotency-Key outlives its job: the word of the old end must not stop the new one."""
    gate.register()
    job_id = gate.post(idempotency_key=KEY).json()["id"]
    cancel(gate, job_id)
    remove(gate, job_id)
    assert gate.post(idempotency_key=KEY).json()["id"] == job_id
    assert not gate.services.queue.redis.exists(f"safelora:ended:{job_id}")
    assert told(frames_of_ended(gate, job_id)) == ["queued", "failed"]


Call = Callable[[Gate, str], Response]


@pytest.mark.parametrize("call", [cancel, retry, remove])
@pytest.mark.parametrize("job_id", ["x", "0" * 26, "..%2f..%2fsecret", "0" * 25 + "%0a"])
def test_unknown_job_is_a_404(gate: Gate, call: Call, job_id: str) -> None:
    """Whatever is asked for, it never becomes a path."""
    response = call(gate, job_id)
    assert (response.status_code, code_of(response)) in ((404, "job_not_found"), (404, "not_found"))


def test_others_jobs_are_not_steered(open_gate: OpenGate) -> None:
    """404, as for what is not there, and nothing happens to them; nor without the scope."""
    keys = (key("one", "one", "jobs"), key("two", "two", "jobs"), key("no", "one", "alignments"))
    gate = open_gate(access=access(*keys))
    gate.register()
    job = gate.client.post(
        "/v1/jobs",
        files={"adapter": WEIGHTS, "config": CONFIG},
        data={"alignment": "base"},
        headers=bearer("one"),
    ).json()
    path = f"/v1/jobs/{job['id']}"
    for method, url in (("POST", f"{path}/cancel"), ("POST", f"{path}/retry"), ("DELETE", path)):
        response = gate.client.request(method, url, headers=bearer("two"))
        assert (response.status_code, code_of(response)) == (404, "job_not_found")
        assert gate.client.request(method, url, headers=bearer("no")).status_code == 403
    assert gate.client.get(path, headers=bearer("one")).json()["state"] == "queued"


def test_examples_are_the_answers(gate: Gate) -> None:
    """What is documented of each refusal is what is sent, but for words and further members."""
    gate.register()
    running, ended, lost = posted(gate), posted(gate), posted(gate)
    end(gate, ended, JobState.SUCCEEDED)
    end(gate, lost)
    gate.services.store.delete(layout.job_input("default", lost, "adapter_config.json"))
    paths = gate.client.get("/openapi.json").json()["paths"]
    for response, path, method in (
        (cancel(gate, ended), "/v1/jobs/{job_id}/cancel", "post"),
        (retry(gate, ended), "/v1/jobs/{job_id}/retry", "post"),
        (retry(gate, lost), "/v1/jobs/{job_id}/retry", "post"),
        (remove(gate, running), "/v1/jobs/{job_id}", "delete"),
    ):
        described = paths[path][method]["responses"][str(response.status_code)]
        answer = response.json()
        examples = described["content"]["application/problem+json"]["examples"]
        example = examples[answer["code"]]["value"] | {"detail": answer["detail"]}
        assert example.items() <= answer.items()
