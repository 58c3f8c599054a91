"""Jobs followed and steered over HTTP, with a real worker, on a folder and on S3."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import httpx2

from core.jobs import AlignmentRef, JobRequest, new_job_id, now
from core.policy import Policy
from core.records import Records
from core.store import open_store
from core.store.settings import StoreSettings
from tests.app.following import Frame, frames_of, told
from tests.servers import ValkeyServer, free_ports
from tests.service.running import Running, store_environment, wait_until_ready


def fresh(service: Running, number: int = 0) -> str:
    """A job that no earlier result answers: its policy is its own."""
    share = (uuid4().int % 10**6 + number) / 10**7
    accepted = service.post(policy=json.dumps({"selection": {"threshold": 0.5 + share}}))
    assert accepted.status_code == 202, accepted.text
    return str(accepted.json()["id"])


def follow(service: Running, job_id: str, last: str = "") -> list[Frame]:
    """Until the end of the stream."""
    return frames_of(
        service.client.get(
            f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": last}, timeout=60.0
        )
    )


def test_job_is_followed_to_its_end(service: Running) -> None:
    """Queued, taken by a worker, and the job itself; from any event on, what came after it."""
    job_id = fresh(service)
    frames = follow(service, job_id)
    states = [frame.state for frame in frames if frame.event == "state"]
    assert states == ["queued", "running", "succeeded"]
    assert frames[-1].data == service.client.get(f"/v1/jobs/{job_id}").json()
    assert frames[-1].data["verdict"] == "projected"
    assert follow(service, job_id, frames[1].id or "") == frames[2:]


def test_cancelled_job_is_tried_again_and_removed(service: Running) -> None:
    """The whole way: cancelled behind others, retried to a result, and the old one taken away."""
    first, second, last = (fresh(service, number) for number in range(3))
    cancelled = service.client.post(f"/v1/jobs/{last}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert told(follow(service, last))[-1] == "cancelled"
    again = service.client.post(f"/v1/jobs/{last}/retry")
    assert (again.status_code, again.json()["retry_of"]) == (202, last)
    assert service.client.delete(f"/v1/jobs/{last}").status_code == 204
    assert service.client.get(f"/v1/jobs/{last}").status_code == 404
    job = service.wait(again)
    assert (job["state"], job["from_earlier_result"]) == ("succeeded", False)
    report = service.client.get(f"/v1/jobs/{job['id']}/report").json()
    assert report["verdict"] == "projected"
    for job_id in (first, second):
        assert told(follow(service, job_id))[-1] == "succeeded"


def test_api_that_is_told_to_stop_lets_its_followers_go(
    valkey: ValkeyServer, tmp_path: Path
) -> None:
    """At once, though the job has not ended: they come back to the next API."""
    store = StoreSettings(path=tmp_path / "store")
    job = JobRequest(
        id=new_job_id(),
        tenant="default",
        created_at=now(),
        alignment=AlignmentRef(name="tiny", id="0"),
        policy=Policy(),
        files=[],
    )
    Records(open_store(store)).accept(job)
    (port,) = free_ports(1)
    log = tmp_path / "api.log"
    with log.open("wb") as output:
        api = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--port", str(port)],
            env={
                **os.environ,
                **store_environment(store),
                "SAFELORA_REDIS__URL": valkey.url,
                "SAFELORA_SCRATCH": str(tmp_path / "scratch"),
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                wait_until_ready(client, log)
                with client.stream("GET", f"/v1/jobs/{job.id}/events", timeout=30.0) as stream:
                    lines = stream.iter_lines()
                    assert next(lines) == "event: state"
                    api.send_signal(signal.SIGTERM)
                    told_to_stop = time.monotonic()
                    assert [line for line in lines if line.startswith("event:")] == []
            api.wait(10)
            assert time.monotonic() - told_to_stop < 5.0
        finally:
            api.kill()
            api.wait()
