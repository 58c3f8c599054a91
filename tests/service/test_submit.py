"""`safelora-gate submit` and `jobs`, and both clients, against the running service."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from safetensors.torch import load_file, save_file

from core.canonical import sha256_hex
from safelora import Gate
from tests.safelora.conftest import Connect, connect  # noqa: F401  (a fixture)
from tests.servers import free_ports
from tests.service.running import Running
from tests.worker.making import GOLDEN

DONE, FAILED, WRONG, REJECTED = 0, 1, 2, 3
ADAPTER = GOLDEN / "adapter"
FILES = {"adapter_model.safetensors", "adapter_config.json"}


def command(
    service: Running, *arguments: str, url: str | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SAFELORA_URL": url or str(service.client.base_url)}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )


def fresh() -> str:
    """A policy that no earlier result answers."""
    return json.dumps({"selection": {"threshold": 0.5 + uuid4().int % 10**6 / 10**7}})


def broken(folder: Path) -> Path:
    """An adapter with a value that is no number."""
    shutil.copytree(ADAPTER, folder)
    tensors = load_file(folder / "adapter_model.safetensors")
    tensors[min(tensors)][0, 0] = float("nan")
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def test_adapter_is_submitted_and_brought_back(service: Running, tmp_path: Path) -> None:
    """Exit 0, the table, and a PEFT folder with the report; the files are those of the report."""
    output = tmp_path / "out"
    policy = tmp_path / "policy.json"
    policy.write_text(fresh())
    done = command(
        service, "submit", str(ADAPTER), "--alignment", "tiny", "--policy", str(policy),
        "--output", str(output), "--metadata", "run=ft-1", "--metadata", "x=a=b",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (DONE, "")
    assert "projected:" in done.stdout
    assert f"sanitized adapter: {output}" in done.stdout
    assert {path.name for path in output.iterdir()} == {*FILES, "report.json"}
    report = json.loads((output / "report.json").read_bytes())
    named = {file["name"]: file["sha256"] for file in report["output"]["files"]}
    assert named == {name: sha256_hex((output / name).read_bytes()) for name in FILES}
    newest = json.loads(command(service, "jobs", "list", "--json", "--limit", "1").stdout)[0]
    assert newest["metadata"] == {"run": "ft-1", "x": "a=b"}


def test_rejected_adapter_ends_with_its_findings(service: Running, tmp_path: Path) -> None:
    """Exit 3, the findings on stderr, and nothing written."""
    adapter, output = broken(tmp_path / "broken"), tmp_path / "out"
    done = command(service, "submit", str(adapter), "--alignment", "tiny", "--output", str(output))
    assert (done.returncode, done.stdout) == (REJECTED, "")
    assert "refused non_finite: tensor" in done.stderr
    assert "rejected: 1 findings stop it" in done.stderr
    assert not output.exists()


def test_what_only_scores_leaves_a_report(service: Running, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = command(
        service, "submit", str(ADAPTER), "--alignment", "tiny",
        "--policy", '{"selection": {"mode": "none"}}', "--output", str(output), "--json",
    )  # fmt: skip
    assert done.returncode == DONE, done.stderr
    assert json.loads(done.stdout)["verdict"] == "scored"
    assert "no adapter" in done.stderr
    assert [path.name for path in output.iterdir()] == ["report.json"]


def test_wrong_arguments_are_told_from_failures(service: Running, tmp_path: Path) -> None:
    """Exit 2 for what the command line, or the gate, does not take; 1 where no gate answers."""
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").touch()
    adapter = str(ADAPTER)
    wrong = {
        "alignment_unknown": [adapter, "--alignment", "nobody"],
        "source_not_allowed": ["s3://nowhere/x/", "--alignment", "tiny"],
        "no file and no folder": [str(tmp_path / "nowhere")],
        "one .safetensors and one .json": [adapter, adapter],
        "is not JSON": [adapter, "--policy", "{"],
        "give JSON": [adapter, "--policy", str(tmp_path / "nowhere.json")],
        "no JSON object": [adapter, "--policy", str(_file(tmp_path / "list.json", "[]"))],
        "policy_invalid": [adapter, "--policy", '{"method": "magic"}'],
        "name=text": [adapter, "--metadata", "run"],
        "not empty": [adapter, "--output", str(full)],
        "leave --no-wait out": [adapter, "--output", str(tmp_path / "o"), "--no-wait"],
    }
    for words, arguments in wrong.items():
        done = command(service, "submit", *arguments)
        assert (done.returncode, done.stdout) == (WRONG, ""), done.stderr
        assert words in done.stderr
    (port,) = free_ports(1)
    away = command(service, "submit", adapter, url=f"http://127.0.0.1:{port}")
    assert away.returncode == FAILED
    assert "gate_unreachable" in away.stderr


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_jobs_are_seen_and_steered(service: Running, tmp_path: Path) -> None:
    """Listed, shown, brought, tried again and removed; what is not there is exit 2."""
    posted = command(
        service, "submit", str(ADAPTER), "--alignment", "tiny", "--policy", fresh(), "--no-wait"
    )
    job_id = posted.stdout.strip()
    with Gate(str(service.client.base_url)) as gate:
        gate.wait(job_id)
    listed = command(service, "jobs", "list")
    assert listed.returncode == DONE, listed.stderr
    row = next(line for line in listed.stdout.splitlines() if line.startswith(job_id))
    assert row.split()[1:4] == ["succeeded", "projected", "tiny"]
    shown = command(service, "jobs", "show", job_id)
    assert f"job:       {job_id}\nstate:     succeeded\n" in shown.stdout
    as_json = json.loads(command(service, "jobs", "show", job_id, "--json").stdout)
    assert as_json == service.client.get(f"/v1/jobs/{job_id}").json()
    output = tmp_path / "later"
    brought = command(service, "jobs", "download", job_id, "--output", str(output))
    assert (brought.returncode, brought.stdout) == (DONE, f"sanitized adapter: {output}\n")
    assert {path.name for path in output.iterdir()} == {*FILES, "report.json"}
    for steer, code in (("cancel", "job_ended"), ("retry", "job_not_retryable")):
        refused = command(service, "jobs", steer, job_id)
        assert refused.returncode == WRONG
        assert code in refused.stderr
    gone = command(service, "jobs", "delete", job_id)
    assert (gone.returncode, gone.stdout) == (DONE, f"{job_id} is gone\n")
    assert command(service, "jobs", "show", job_id).returncode == WRONG


@pytest.mark.parametrize("state", ["queued", "succeeded"])
def test_client_follows_a_job_through(
    service: Running,
    connect: Connect,  # noqa: F811
    tmp_path: Path,
    state: str,
) -> None:
    """Posted, followed by its events to its end, judged by its report, and brought back; at once
    where there is a result of earlier."""
    client = connect(str(service.client.base_url))
    policy = json.loads(fresh())
    job = client.submit(ADAPTER, alignment="tiny", policy=policy)
    events = list(client.events(job))
    assert events[-1].job == client.wait(job)
    if state == "succeeded":
        job = client.submit(ADAPTER, alignment="tiny", policy=policy)
        assert job.from_earlier_result
    ended = client.wait(job, timeout=60)
    assert (ended.state, ended.verdict, ended.published) == ("succeeded", "projected", True)
    report = client.report(job)
    assert report.summary == ended.summary
    assert {row.name for row in report.modules if row.projected}
    paths = client.download(job, tmp_path)
    assert {path.name for path in paths} == FILES == {path.name for path in tmp_path.iterdir()}


def test_client_registers_and_waits(service: Running, connect: Connect) -> None:  # noqa: F811
    """The same order again finds it ready."""
    client = connect(str(service.client.base_url))
    name = f"client-{uuid4().hex[:8]}"
    pair = [str(GOLDEN / side) for side in ("base", "aligned")]
    registered = client.register(name, *pair, modules=["q_proj"])
    ready = client.wait_for_alignment(registered, poll=0.1)
    assert (ready.ready, ready.modules) == (True, ["q_proj"])
    assert client.register(name, *pair, modules=["q_proj"]).id == ready.id
