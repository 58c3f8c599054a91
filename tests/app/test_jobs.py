"""Seeing how jobs fare."""

import threading
import time

import pytest

from core.jobs import FinalState, JobFailure, JobResult, JobState, Progress, new_job_id, now
from core.settings import LimitSettings, RedisSettings
from tests.app.conftest import OpenGate
from tests.app.gate import Gate, code_of, weights_of


def posted(gate: Gate, alignment: str = "base") -> str:
    """A job that no earlier result answers."""
    job_id: str = gate.post(weights=weights_of(new_job_id()), alignment=alignment).json()["id"]
    return job_id


def end(gate: Gate, job_id: str, state: FinalState, code: str = "") -> None:
    error = JobFailure(code=code, message="why") if code else None
    gate.services.records.finish(
        "default", job_id, JobResult(state=state, finished_at=now(), error=error)
    )


def test_running_job_shows_how_far_it_is(gate: Gate) -> None:
    """While a worker holds it, Redis says which stage it is in."""
    gate.register()
    job_id = posted(gate)
    started = now()
    progress = Progress(stage="score", done=3, total=60, started_at=started)
    gate.services.queue.set_progress(job_id, progress)
    job = gate.client.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], job["started_at"]) == ("running", started)
    assert job["progress"] == {"stage": "score", "done": 3, "total": 60}


def test_result_in_the_store_has_the_last_word(any_gate: Gate) -> None:
    """Progress that was left behind in Redis does not make an ended job run."""
    any_gate.register()
    job_id = posted(any_gate)
    progress = Progress(stage="write", started_at=now())
    any_gate.services.queue.set_progress(job_id, progress)
    request = any_gate.services.records.request("default", job_id)
    assert request is not None
    result = any_gate.finish(request)
    job = any_gate.client.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], job["verdict"], job["progress"]) == ("succeeded", "projected", None)
    assert job["finished_at"] == result.finished_at
    assert job["timings"] == {"total": 0.5}
    assert (job["summary"]["modules"], job["findings"]) == (2, [])
    assert job["links"] == {
        "self": f"/v1/jobs/{job_id}",
        "report": f"/v1/jobs/{job_id}/report",
        "adapter": f"/v1/jobs/{job_id}/adapter",
    }


def test_rejected_job_says_what_was_found(gate: Gate) -> None:
    """Code, tensor, why and what to do; a report, and no adapter."""
    gate.register()
    response = gate.post()
    gate.finish(gate.request_of(response), "rejected")
    job = gate.client.get(response.headers["Location"]).json()
    assert (job["state"], job["verdict"]) == ("rejected", "rejected")
    [found] = job["findings"]
    assert (found["code"], found["subject"]) == ("non_finite", "a.lora_A.weight")
    assert found["why"]
    assert found["action"]
    assert job["links"].keys() == {"self", "report"}


def test_failed_job_says_why(gate: Gate) -> None:
    """A stable code and what to do; neither report nor adapter."""
    gate.register()
    job_id = posted(gate)
    end(gate, job_id, JobState.FAILED, "engine_error")
    job = gate.client.get(f"/v1/jobs/{job_id}").json()
    assert job["state"] == "failed"
    assert job["error"] == {"code": "engine_error", "message": "why"}
    assert job["links"].keys() == {"self"}


def test_without_redis_the_store_speaks(open_gate: OpenGate) -> None:
    """Neither a job nor the list of them needs Redis."""
    gate = open_gate(redis=RedisSettings.model_validate({"url": "redis://127.0.0.1:1/0"}))
    gate.register()
    job_id = posted(gate)
    assert gate.client.get(f"/v1/jobs/{job_id}").json()["state"] == "queued"
    end(gate, job_id, JobState.CANCELLED)
    assert gate.client.get(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"
    assert len(gate.client.get("/v1/jobs").json()["jobs"]) == 1


@pytest.mark.parametrize("job_id", ["x", "0" * 26, "..%2f..%2fsecret", "%00", "0" * 25 + "%0a"])
def test_unknown_job_is_a_404(gate: Gate, job_id: str) -> None:
    """Whatever is asked for, it never becomes a path."""
    response = gate.client.get(f"/v1/jobs/{job_id}")
    assert (response.status_code, code_of(response)) in ((404, "job_not_found"), (404, "not_found"))


def test_long_poll_wakes_when_the_job_ends(any_gate: Gate) -> None:
    """Well before the time is up."""
    any_gate.register()
    job_id = posted(any_gate)
    ending = threading.Timer(0.4, end, (any_gate, job_id, JobState.CANCELLED))
    ending.start()
    started = time.monotonic()
    job = any_gate.client.get(f"/v1/jobs/{job_id}?wait=30").json()
    ending.join()
    assert job["state"] == "cancelled"
    assert 0.3 < time.monotonic() - started < 5


def test_long_poll_is_capped(open_gate: OpenGate) -> None:
    """No connection is held longer than the operator allows."""
    gate = open_gate(limits=LimitSettings(wait=1))
    gate.register()
    job_id = posted(gate)
    started = time.monotonic()
    assert gate.client.get(f"/v1/jobs/{job_id}?wait=3600").json()["state"] == "queued"
    assert 0.9 < time.monotonic() - started < 5


def test_many_long_polls_do_not_hold_the_others_up(gate: Gate) -> None:
    """A waiting caller costs no thread: more than the pool has, and the gate still answers."""
    gate.register()
    job_id = posted(gate)
    waiting = [
        threading.Thread(target=gate.client.get, args=(f"/v1/jobs/{job_id}?wait=3",))
        for _ in range(60)
    ]
    for thread in waiting:
        thread.start()
    started = time.monotonic()
    assert gate.client.get("/livez").status_code == 200
    assert gate.client.get("/v1/jobs").status_code == 200
    assert time.monotonic() - started < 2.5
    end(gate, job_id, JobState.CANCELLED)
    for thread in waiting:
        thread.join()


@pytest.mark.parametrize("query", ["wait=-1", "wait=soon", "wait=nan"])
def test_odd_wait_is_refused(gate: Gate, query: str) -> None:
    """And the answer does not echo it."""
    response = gate.client.get(f"/v1/jobs/{'0' * 26}?{query}")
    assert (response.status_code, code_of(response)) == (422, "validation_failed")


def test_list_is_newest_first_and_paged(any_gate: Gate) -> None:
    """Page after page, each job once."""
    any_gate.register()
    ids = []
    for _ in range(5):
        ids.append(posted(any_gate))
        time.sleep(0.002)
    seen: list[str] = []
    cursor = ""
    for _ in range(4):
        page = any_gate.client.get(f"/v1/jobs?limit=2{cursor}").json()
        seen += [job["id"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ids[::-1]


def test_list_is_filtered(gate: Gate) -> None:
    """By state and by alignment."""
    gate.register("base")
    gate.register("other")
    queued, ended = posted(gate, "base"), posted(gate, "other")
    end(gate, ended, JobState.CANCELLED)

    def listed(query: str) -> list[str]:
        return [job["id"] for job in gate.client.get(f"/v1/jobs?{query}").json()["jobs"]]

    assert listed("state=cancelled") == [ended]
    assert listed("state=queued") == [queued]
    assert listed("alignment=other") == [ended]
    assert listed("alignment=other&state=queued") == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "state=done", "cursor=../..", "cursor=0"]
)
def test_odd_lists_are_refused(gate: Gate, query: str) -> None:
    """A cursor is a job's id and nothing else."""
    response = gate.client.get(f"/v1/jobs?{query}")
    assert (response.status_code, code_of(response)) == (422, "validation_failed")


def test_redis_wiped_hides_no_job(gate: Gate) -> None:
    """Redis only carries."""
    gate.register()
    job_id = posted(gate)
    gate.services.queue.redis.flushdb()
    assert gate.client.get(f"/v1/jobs/{job_id}").json()["state"] == "queued"
