"""`safelora-gate submit` and `jobs`, where a gate stops, fails or is of another version."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from core.findings import finding
from tests.app.gate import CONFIG, Gate
from tests.safelora.serving import Scripted, Told, says, scripted, served

VERSION = says(200, {"name": "safelora-gate", "engine": "9"})
STREAM = {"Content-Type": "text/event-stream"}


def job(state: str, **fields: Any) -> dict[str, Any]:
    ended = None if state in ("queued", "running") else "then"
    return {"id": "j1", "state": state, "finished_at": ended, **fields}


def events(*jobs: dict[str, Any]) -> Told:
    frames = [f"event: state\ndata: {json.dumps(each)}\n\n" for each in jobs]
    return Told(200, "".join(frames).encode(), STREAM)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "adapter.zip"
    path.write_bytes(b"PK")
    return path


def run(script: Scripted, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--url", script.url])


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (job("failed", error={"code": "job_timeout", "message": "too\x1blong"}), "job_timeout"),
        (job("cancelled"), "error [job_cancelled]: job j1 cancelled"),
        (job("dissolved"), "error [job_dissolved]"),
    ],
)
def test_job_that_comes_to_nothing_is_exit_1(
    archive: Path, ended: dict[str, Any], words: str
) -> None:
    """With its error's own words, which move no cursor; states of a newer gate too."""
    with scripted(VERSION, says(202, job("queued")), events(ended)) as script:
        done = run(script, "submit", str(archive))
    assert done.exit_code == 1
    assert words in done.stderr
    assert "\x1b" not in done.stderr
    assert [heard.path for heard in script.heard[1:]] == ["/v1/jobs", "/v1/jobs/j1/events"]


def test_report_of_another_version_is_no_failure(archive: Path) -> None:
    """It is said, and kept as it is."""
    report = says(200, {"verdict": "projected", "shape": "round"})
    ended = job("succeeded", verdict="projected")
    with scripted(VERSION, says(200, ended), report) as script:
        done = run(script, "submit", str(archive), "--output", str(archive.parent / "out"))
    assert done.exit_code == 0, done.output
    assert "of another version" in done.stdout
    assert json.loads((archive.parent / "out/report.json").read_bytes())["shape"] == "round"


def test_findings_of_another_version_are_listed(archive: Path) -> None:
    found = {"code": "of_tomorrow", "outcome": "refused", "kind": "tensor", "subject": "a\x1bb"}
    ended = job("rejected", verdict="rejected", findings=[found])
    with scripted(VERSION, says(200, ended), says(200, {})) as script:
        done = run(script, "submit", str(archive))
    assert done.exit_code == 3
    assert "refused of_tomorrow: tensor a\\x1bb" in done.stderr


FOUND = finding("pickle_file", "file", "adapter_model.safetensors").model_dump(mode="json")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (FOUND, "refused pickle_file: file adapter_model.safetensors"),
        (
            {"code": "of_tomorrow", "outcome": "refused", "kind": "file", "subject": "a\x1bb"},
            "refused of_tomorrow: file a\\x1bb",
        ),
    ],
)
def test_adapter_that_is_rejected_while_it_arrives_is_exit_3(
    archive: Path, found: dict[str, Any], words: str
) -> None:
    """With its findings, as where a worker rejects it; there is no job to follow."""
    refusal = {"status": 422, "code": "adapter_rejected", "detail": "rejected", "findings": [found]}
    output = archive.parent / "out"
    with scripted(VERSION, says(422, refusal)) as script:
        done = run(script, "submit", str(archive), "--output", str(output))
    assert (done.exit_code, done.stdout) == (3, "")
    assert words in done.stderr
    assert "rejected: 1 findings stop it" in done.stderr
    assert not output.exists()
    assert len(script.heard) == 2


def test_large_adapter_is_rejected_while_it_is_sent(gate: Gate, tmp_path: Path) -> None:
    """What the gate says while it reads no more is heard, by a client that still sends."""
    weights, config = tmp_path / "w.safetensors", tmp_path / "c.json"
    weights.write_bytes(b"\x80\x04\x95" + bytes(64 * 2**20))
    config.write_bytes(CONFIG)
    gate.register()
    with served(gate.client.app) as url:
        done = CliRunner().invoke(cli, ["submit", str(weights), str(config), "--url", url])
    assert done.exit_code == 3, done.output
    assert "refused pickle_file" in done.stderr
    assert gate.client.get("/v1/jobs").json()["jobs"] == []


def test_callback_is_sent_with_the_order(archive: Path) -> None:
    ended = job("cancelled")
    with scripted(VERSION, says(200, ended)) as script:
        run(script, "submit", str(archive), "--callback-url", "https://told.example/x")
    assert b'name="callback_url"\r\n\r\nhttps://told.example/x\r\n' in script.heard[1].body


def test_interrupted_submission_says_how_to_go_on(archive: Path) -> None:
    """Ctrl-C ends the wait alone; the last line has the commands that see the job, and stop it."""
    waiting_on = Told(200, b": still here\n\n", STREAM)
    with scripted(VERSION, says(202, job("queued")), waiting_on) as script:
        command = [sys.executable, "-m", "app.cli", "submit", str(archive), "--url", script.url]
        waiting = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        with waiting:
            while len(script.heard) < 3:
                assert waiting.poll() is None
                time.sleep(0.01)
            waiting.send_signal(signal.SIGINT)
            _, told = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert told.splitlines()[-1] == (
        "the gate goes on with it; to see it: safelora-gate jobs show j1;"
        " to stop it: safelora-gate jobs cancel j1"
    )


def test_key_in_clear_is_refused_with_the_option(archive: Path) -> None:
    arguments = ["submit", str(archive), "--url", "http://gate.example", "--key", "slg_secret"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert "--allow-http" in done.stderr
    assert "slg_secret" not in done.output


@pytest.mark.parametrize("name", ["show", "cancel", "retry"])
def test_job_is_shown_as_it_is_steered(name: str) -> None:
    """With what was found, what went wrong and what to do next, and no control character."""
    found = {"code": "non_finite", "outcome": "refused", "kind": "tensor", "subject": "a\x1bb"}
    told = job(
        "running",
        findings=[found],
        error={"code": "c", "message": "m"},
        retry_of="j0",
        progress={"stage": "score", "done": 3, "total": 9},
    )
    with scripted(*([] if name == "cancel" else [VERSION]), says(200, told)) as script:
        done = run(script, "jobs", name, "j1")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "job:       j1",
        "state:     running",
        "progress:  score, 3 of 9 modules",
        "retry of:  j0",
        "error:     c: m",
        "finding:   refused non_finite: tensor a\\x1bb",
        "next:      safelora-gate jobs show j1 --watch",
        "           safelora-gate jobs cancel j1",
    ]
