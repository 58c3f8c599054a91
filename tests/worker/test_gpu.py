"""The worker's overrides of RQ: they fit the RQ that is installed, and do what they say."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from redis import Redis
from rq import SimpleWorker
from rq.job import Job

from core.settings import Settings, SettingsInvalid, WorkerSettings
from worker.gpu import GateWorker, TaskNotAllowed, gate_job, run_process

OVERRIDES = (
    "get_heartbeat_ttl",
    "perform_job",
    "kill_horse",
    "handle_warm_shutdown_request",
    "execute_job",
    "clean_registries",
    "handle_exception",
    "_pubsub_exception_handler",
)
JOB_OVERRIDES = ("func", "success_callback", "failure_callback", "stopped_callback")


@pytest.mark.parametrize("name", OVERRIDES)
def test_each_override_overrides_something(name: str) -> None:
    """RQ calls it by this name and with these arguments; a new RQ that does not fails here."""
    ours, theirs = getattr(GateWorker, name), getattr(SimpleWorker, name)
    assert ours is not theirs
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)


@pytest.mark.parametrize("name", JOB_OVERRIDES)
def test_what_names_functions_in_redis_is_overridden(name: str) -> None:
    """Each of RQ's ways to import a name out of Redis is a property, and is ours."""
    assert isinstance(inspect.getattr_static(Job, name), property)
    assert inspect.getattr_static(gate_job({}), name) is not inspect.getattr_static(Job, name)


def job(tasks: dict[str, Any], name: str) -> Job:
    made = gate_job(tasks)("an-id", connection=Redis(port=1))  # it is never asked
    made._func_name = name
    made.retries_left = 0
    return made


@pytest.mark.parametrize("name", ["os.system", "worker.tasks.sanitize ", "", "__import__"])
def test_a_name_that_is_no_task_is_not_even_looked_up(name: str) -> None:
    """Only the exact names on the list run."""
    with pytest.raises(TaskNotAllowed):
        _ = job({"worker.tasks.sanitize": print}, name).func


def test_a_task_is_told_of_the_attempts_left() -> None:
    """So that it records a failure where no other attempt will."""
    told: list[int] = []
    tasks = {"t": lambda *, attempts_left: told.append(attempts_left)}
    last = job(tasks, "t")
    last.func()
    last.retries_left = 1
    last.func()
    assert told == [0, 1]


@pytest.mark.parametrize("device", ["cuda", "cuda:99"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_worker_does_not_start_on_a_device_that_is_not_there(device: str, tmp_path: Path) -> None:
    """Else each job that it takes would fail."""
    settings = Settings(worker=WorkerSettings(device=device), scratch=tmp_path)
    with pytest.raises(SettingsInvalid, match=f"SAFELORA_WORKER__DEVICE: {device} cannot be used"):
        run_process(settings)
