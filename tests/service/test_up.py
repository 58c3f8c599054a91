"""`safelora-gate up`: everything on one machine, with nothing else installed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2

from tests.safelora.serving import says, scripted
from tests.servers import free_ports
from tests.service.running import golden_parts
from tests.service.up import START_SECONDS, key_in, up, url_in
from tests.worker.making import GOLDEN


def children(data: Path) -> list[str]:
    """Command lines of processes that work on `data`, by their environment or arguments."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(data).encode() in text and int(entry.name) != os.getpid():
            found.append((entry / "cmdline").read_text().replace("\0", " "))
    return found


def test_up_serves_with_its_first_key_and_stops_clean(tmp_path: Path) -> None:
    """Ready means ready; the printed key works, another does not; Ctrl-C leaves no process."""
    data = tmp_path / "data"
    with up(data) as (process, said):
        url = url_in(said)
        key = key_in(said)
        answers = [
            httpx2.get(f"{url}/v1/jobs", headers={"Authorization": f"Bearer {k}"}, trust_env=False)
            for k in (key, key[:-1] + "!")
        ]
        assert [answer.status_code for answer in answers] == [200, 401]
        assert httpx2.get(f"{url}/readyz", trust_env=False).status_code == 200
        assert children(data)
    assert process.returncode == 0
    assert children(data) == []
    assert key not in (data / "keys.json").read_text()


def test_ctrl_c_loses_no_job(tmp_path: Path) -> None:
    """What was accepted before ends after the next start, whatever was queued or half done."""
    data = tmp_path / "data"
    flags = ("--checkpoints", str(GOLDEN))
    with up(data, *flags) as (_, said):
        key = key_in(said)
        with client_of(said, key) as client:
            pair = {"name": "tiny", "base": str(GOLDEN / "base")}
            pair["aligned"] = str(GOLDEN / "aligned")
            client.post("/v1/alignments", json=pair).raise_for_status()
            wait_until(lambda: client.get("/v1/alignments/tiny").json()["state"] == "ready")
            accepted = [post_job(client, number) for number in range(12)]
    with up(data, *flags) as (_, said), client_of(said, key) as client:
        for job_id in accepted:
            job = client.get(f"/v1/jobs/{job_id}", params={"wait": 60}, timeout=90).json()
            assert job["state"] == "succeeded", job


def client_of(said: str, key: str) -> httpx2.Client:
    return httpx2.Client(
        base_url=url_in(said),
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
    )


def post_job(client: httpx2.Client, number: int) -> str:
    """The golden adapter, each time under another threshold: no earlier result answers it."""
    policy = {"selection": {"mode": "threshold", "threshold": 0.35 + number / 100}}
    answer = client.post(
        "/v1/jobs",
        data={"alignment": "tiny", "policy": json.dumps(policy)},
        files={name: (name, content) for name, content in golden_parts().items()},
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_up_keeps_its_keys_and_shows_none_twice(tmp_path: Path) -> None:
    """A second start knows the first key and prints none; a second stack at once is refused."""
    data = tmp_path / "data"
    with up(data) as (_, said):
        key = key_in(said)
        with up(data) as (second, refusal):
            assert second.wait(30) == 1
        assert "stack_failed" in refusal
    with up(data) as (_, said):
        assert key not in said
        assert "slg_" not in said
        url = url_in(said)
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx2.get(f"{url}/v1/jobs", headers=headers, trust_env=False)
        assert answer.status_code == 200
    assert len(json.loads((data / "keys.json").read_text())) == 1


def test_up_tells_a_program_that_it_is_ready(tmp_path: Path) -> None:
    """With --json by one line, which has all that is needed, and nothing else on stdout."""
    (port,) = free_ports(1)
    where = ["--data", str(tmp_path / "data"), "--port", str(port)]
    with subprocess.Popen(
        [sys.executable, "-m", "app.cli", "up", "--json", *where],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        headers = {"Authorization": f"Bearer {told['key']}"}
        answer = httpx2.get(f"{told['url']}/v1/jobs", headers=headers, trust_env=False)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == ""
        assert process.wait(60) == 0
    assert answer.status_code == 200
    assert told["url"] == f"http://127.0.0.1:{port}"


def test_up_says_which_part_ended(tmp_path: Path) -> None:
    """A part that dies stops everything, with its name and the end of its log, and code 1."""
    data = tmp_path / "data"
    with up(data) as (process, _):
        worker = next(
            int(entry.name)
            for entry in Path("/proc").glob("[0-9]*")
            if (entry / "cmdline").exists()
            and b"-m\0worker\0run" in (entry / "cmdline").read_bytes()
            and str(data).encode() in (entry / "environ").read_bytes()
        )
        os.kill(worker, signal.SIGKILL)
        assert process.wait(60) == 1
    log = next(tmp_path.glob("up-*.log")).read_text()
    assert "worker ended" in log
    assert children(data) == []


def test_a_first_key_is_not_lost_to_a_failed_start(tmp_path: Path) -> None:
    """Where the port is taken, by what may look like a gate, nothing is kept, and the next start
    prints the first key."""
    data = tmp_path / "data"
    with scripted(says(200, {})) as other:
        port = other.url.rpartition(":")[2]
        command = [sys.executable, "-m", "app.cli", "up", "--data", str(data), "--port", port]
        failed = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert failed.returncode == 1
    assert "error [port_unavailable]" in failed.stderr
    assert not (data / "keys.json").exists()
    with up(data) as (_, said):
        assert re.search(r"key: +slg_", said)
