"""What examples/ shows is done against a gate with a played worker, and servers that are told."""

import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from app.cli import COMMANDS
from app.terminal import lazy
from examples.finetune_pipeline import NotAdmitted, admit
from examples.vllm_load import NotLoaded, load
from safelora import Gate, RequestRefused
from tests.app.conftest import gate, open_gate  # noqa: F401  (fixtures)
from tests.app.following import end, posted
from tests.app.gate import CONFIG, SANITIZED, WEIGHTS
from tests.app.gate import Gate as RealGate
from tests.safelora.serving import Told, says, scripted, served
from tests.safelora.test_downloads import kept, report_bytes
from tests.servers import free_ports

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def url(gate: RealGate) -> Iterator[str]:  # noqa: F811
    gate.register()
    with served(gate.client.app) as address:
        yield address


def publish(gate: RealGate, job_id: str) -> None:  # noqa: F811
    request = gate.services.records.request("default", job_id)
    assert request is not None
    gate.finish(request, report=report_bytes())


# vLLM


def test_sanitized_adapter_is_loaded(gate: RealGate, url: str, tmp_path: Path) -> None:  # noqa: F811
    """vLLM is told a name, and a folder that holds what the gate published."""
    job_id = posted(gate)
    publish(gate, job_id)
    command = [sys.executable, str(EXAMPLES / "vllm_load.py"), job_id, "helper"]
    with scripted(Told(200, b"Success")) as vllm:
        done = subprocess.run(
            [*command, "--vllm", vllm.url, "--folder", str(tmp_path)],
            env={**os.environ, "SAFELORA_URL": url, "PYTHONPATH": str(EXAMPLES.parent)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (0, "")
    [heard] = vllm.heard
    assert heard.path == "/v1/load_lora_adapter"
    told = json.loads(heard.body)
    assert told == {"lora_name": "helper", "lora_path": str(tmp_path / job_id)}
    assert kept(Path(told["lora_path"])) == SANITIZED


def test_what_is_not_published_never_reaches_vllm(
    gate: RealGate,  # noqa: F811
    url: str,
    tmp_path: Path,
) -> None:
    job_id = posted(gate)
    end(gate, job_id)
    with scripted(Told(200)) as vllm, Gate(url) as client, pytest.raises(RequestRefused):
        load(client, job_id, "helper", vllm.url, tmp_path)
    assert vllm.heard == []


def test_vllm_that_does_not_take_it_is_told(
    gate: RealGate,  # noqa: F811
    url: str,
    tmp_path: Path,
) -> None:
    """In its own words, or that it is not there."""
    job_id = posted(gate)
    publish(gate, job_id)
    (port,) = free_ports(1)
    with scripted(Told(400, b"rank is too large")) as vllm, Gate(url) as client:
        for address, words in (
            (vllm.url, "400: rank is too large"),
            (f"http://127.0.0.1:{port}", "does not answer"),
        ):
            with pytest.raises(NotLoaded, match=words):
                load(client, job_id, "helper", address, tmp_path)


# A fine-tuning pipeline


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, data in (("adapter_model.safetensors", WEIGHTS), ("adapter_config.json", CONFIG)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def fine_tune(status: str) -> Told:
    return says(200, {"id": "ftjob-1", "status": status, "result_files": ["file-1"]})


def admitted(gate: RealGate, url: str, folder: Path, play: Any, *told: Told) -> Path:  # noqa: F811
    """The step to its end, while `play` ends the job that it posts."""

    class Playing(Gate):
        def wait(self, job: Any, **options: Any) -> Any:
            play(gate, job.id)
            return super().wait(job, **options)

    with (
        scripted(*told) as tuning,
        httpx2.Client(base_url=tuning.url) as http,
        Playing(url) as client,
    ):
        return admit(http, client, "ftjob-1", folder, poll=0.01)


def test_fine_tune_is_admitted_once_sanitized(
    gate: RealGate,  # noqa: F811
    url: str,
    tmp_path: Path,
) -> None:
    """It is waited for; a step that is started again makes no second job."""
    told = [fine_tune("running"), fine_tune("succeeded"), Told(200, archive())]
    place = admitted(gate, url, tmp_path, publish, *told)
    assert kept(place) == SANITIZED
    again = admitted(gate, url, tmp_path, lambda *_: None, *told)
    assert again == place
    with Gate(url) as client:
        [job] = client.jobs()
    assert job.metadata == {"fine_tune": "ftjob-1"}


def test_what_is_rejected_or_fails_is_not_admitted(
    gate: RealGate,  # noqa: F811
    url: str,
    tmp_path: Path,
) -> None:
    def reject(gate: RealGate, job_id: str) -> None:
        request = gate.services.records.request("default", job_id)
        assert request is not None
        gate.finish(request, "rejected")

    told = [fine_tune("succeeded"), Told(200, archive())]
    with pytest.raises(NotAdmitted, match="rejected: non_finite"):
        admitted(gate, url, tmp_path, reject, *told)
    with pytest.raises(NotAdmitted, match="the fine-tune failed"):
        admitted(gate, url, tmp_path, reject, fine_tune("failed"))
    assert list(tmp_path.glob("*/adapter_model.safetensors")) == []


# GitHub Actions


def test_workflow_runs_commands_that_are_there() -> None:
    """Its `safelora-gate` line is one that the terminal takes."""
    workflow = yaml.safe_load((EXAMPLES / "ci.yml").read_text())
    steps = workflow["jobs"]["sanitize"]["steps"]
    [line] = [step["run"] for step in steps if "safelora-gate submit" in step.get("run", "")]
    program, name, *arguments = shlex.split(line)
    assert (program, name) == ("safelora-gate", "submit")
    parsed = lazy.load(COMMANDS["submit"]).make_context("submit", arguments).params
    assert parsed["source"] == ["adapter"]
    assert str(parsed["output"]) == "sanitized"
    assert len(parsed["metadata"]) == 2
