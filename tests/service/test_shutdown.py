"""Workers that end, whether asked or killed, lose no job: the service as processes, on S3."""

import json
import signal
import time
from collections.abc import Iterator
from subprocess import Popen

import httpx2
import pytest
from redis import Redis
from rq import Worker
from rq.job import Job
from rq.serializers import JSONSerializer

from chaos.parts import WORKERS
from chaos.processes import Stack
from core.settings import QueueSettings
from tests.service.running import golden_parts
from tests.worker.making import GOLDEN

PATIENCE = 90.0
SLOW = 0.1  # seconds that each piece between service and store is late: a job takes several
HALF_A_MINUTE = 30.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two APIs, two workers and the courier, with the settings that they have by default."""
    environment = {"SAFELORA_ALIGNMENTS__ROOTS": json.dumps([str(GOLDEN)])}
    with Stack(tmp_path_factory.mktemp("stack"), environment=environment) as running:
        pair = {"name": "tiny", "base": str(GOLDEN / "base"), "aligned": str(GOLDEN / "aligned")}
        with client(running) as api:
            api.post("/v1/alignments", json=pair).raise_for_status()
            deadline = time.monotonic() + PATIENCE
            while api.get("/v1/alignments/tiny").json()["state"] != "ready":
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield running


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx2.Client]:
    with client(stack) as opened:
        yield opened
    stack.proxy.pause = 0.0


@pytest.fixture
def redis(stack: Stack) -> Iterator[Redis]:
    with stack.redis() as opened:
        yield opened


def client(stack: Stack) -> httpx2.Client:
    return httpx2.Client(base_url=stack.apis[0], trust_env=False, timeout=60.0)


def post(api: httpx2.Client, threshold: float) -> str:
    """The golden adapter under this threshold: under another one it is another recipe."""
    policy = {"selection": {"mode": "threshold", "threshold": threshold}}
    answer = api.post(
        "/v1/jobs",
        data={"alignment": "tiny", "policy": json.dumps(policy)},
        files={name: (name, content) for name, content in golden_parts().items()},
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def ended(api: httpx2.Client, job_id: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        state = str(api.get(f"/v1/jobs/{job_id}", params={"wait": 20}).json()["state"])
        if state not in ("queued", "running"):
            return state
    return "not yet"


def running_at(stack: Stack, redis: Redis, job_id: str) -> Popen[bytes]:
    """The worker's process that has the job in hand, once one has."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for worker in Worker.all(connection=redis, serializer=JSONSerializer):
            if worker.get_current_job_id() == job_id:
                for name in WORKERS:
                    process = stack.process(name)
                    if process.pid == worker.pid and process.poll() is None:
                        return process
        time.sleep(0.02)
    raise AssertionError(f"nobody took job {job_id}")


def attempts_left(redis: Redis, job_id: str) -> int | None:
    return Job.fetch(job_id, connection=redis, serializer=JSONSerializer).retries_left


def test_a_killed_workers_job_runs_again_within_half_a_minute(
    stack: Stack, api: httpx2.Client, redis: Redis
) -> None:
    """With the default settings, and to its end."""
    stack.proxy.pause = SLOW
    job_id = post(api, 0.36)
    process = running_at(stack, redis, job_id)
    process.kill()
    process.wait()
    killed = time.monotonic()
    another = running_at(stack, redis, job_id)
    stack.proxy.pause = 0.0
    assert another.pid != process.pid
    assert time.monotonic() - killed < HALF_A_MINUTE
    assert ended(api, job_id) == "succeeded"


def test_the_first_sigterm_puts_the_job_back_at_no_cost(
    stack: Stack, api: httpx2.Client, redis: Redis
) -> None:
    """The worker ends by itself, with 0, and the job has all its attempts."""
    stack.proxy.pause = SLOW
    job_id = post(api, 0.37)
    process = running_at(stack, redis, job_id)
    process.terminate()
    assert process.wait(60) == 0
    assert attempts_left(redis, job_id) == QueueSettings().attempts - 1
    stack.proxy.pause = 0.0
    assert ended(api, job_id) == "succeeded"


def test_the_second_sigterm_does_so_at_once(stack: Stack, api: httpx2.Client, redis: Redis) -> None:
    """Whatever the worker is at: here it waits for the store."""
    stack.proxy.pause = SLOW
    job_id = post(api, 0.38)
    process = running_at(stack, redis, job_id)
    stack.proxy.mode = "blackhole"
    process.terminate()
    time.sleep(1.2)  # RQ takes two signals within a second for one
    process.terminate()
    process.wait(10)
    stack.proxy.mode = "pass"
    assert attempts_left(redis, job_id) == QueueSettings().attempts - 1
    assert ended(api, job_id) == "succeeded"


def test_a_rolling_restart_under_load_loses_nothing(stack: Stack, api: httpx2.Client) -> None:
    """One worker after the other is told to end and comes back, while jobs are posted."""
    job_ids = []
    for number in range(30):
        job_ids.append(post(api, 0.4 + number / 1000))
        if number in (8, 18):
            stack.process(WORKERS[number == 18]).terminate()
    assert {ended(api, job_id) for job_id in job_ids} == {"succeeded"}


def test_a_hundred_queued_jobs_outlive_a_wiped_redis(
    stack: Stack, api: httpx2.Client, redis: Redis
) -> None:
    """Nobody does anything about it, and all of them come to their end."""
    workers = [stack.process(name) for name in WORKERS]
    for worker in workers:
        worker.send_signal(signal.SIGSTOP)
    try:
        job_ids = [post(api, 0.5 + number / 1000) for number in range(100)]
        redis.flushall()
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGCONT)
    assert {ended(api, job_id) for job_id in job_ids} == {"succeeded"}
