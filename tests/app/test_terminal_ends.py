"""How the commands end: each exit code, what stdout has then, and what stderr says to do."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli import COMMANDS, cli
from core import exit_codes
from core.exit_codes import DONE, FAILED, INTERRUPTED, REJECTED, WRONG_ARGUMENTS
from core.findings import finding
from tests.app.test_submit import STREAM, VERSION, events, job
from tests.core.test_terminal_heat import report, rows
from tests.safelora.serving import Told, problem, says, scripted
from tests.servers import free_ports

TERMINAL_PAGE = Path(__file__).parents[2] / "docs" / "terminal.md"
JOB = "7ybqv25qt6vt2rr7h22ybvjmrd"
ENDED = job("succeeded", verdict="projected", links={"report": "x", "adapter": "y"})
ALIGNMENT = {"name": "tiny", "state": "ready", "id": "a" * 40, "created_at": "then"}
PAIR = ["--base", "/b", "--aligned", "/a"]
REJECTION = report([], "rejected", findings=[finding("dora", "field", "use_dora", "true")])


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.fixture
def archive(tmp_path: Path) -> str:
    path = tmp_path / "adapter.zip"
    path.write_bytes(b"PK")
    return str(path)


@dataclass(frozen=True)
class Case:
    """A command against a gate that gives these answers. ARCHIVE stands for an adapter."""

    command: Sequence[str]
    answers: Sequence[Told]

    def at(self, url: str, archive: str, *more: str) -> list[str]:
        words = [word.replace("ARCHIVE", archive) for word in self.command]
        return [*words, *more, "--url", url]


GATE: dict[str, Case] = {
    "submit": Case(["submit", "ARCHIVE"], [VERSION, says(200, ENDED), says(200, {})]),
    "submit --no-wait": Case(["submit", "ARCHIVE", "--no-wait"], [VERSION, says(202, ENDED)]),
    "align": Case(["align", "tiny", *PAIR], [says(200, ALIGNMENT)]),
    "report": Case(["report", JOB], [VERSION, says(200, report(rows(2)).as_json())]),
    "jobs list": Case(["jobs", "list"], [VERSION, says(200, {"jobs": [ENDED]})]),
    "jobs show": Case(["jobs", "show", "j1"], [VERSION, says(200, ENDED)]),
    "jobs cancel": Case(["jobs", "cancel", "j1"], [says(200, ENDED)]),
    "jobs retry": Case(["jobs", "retry", "j1"], [VERSION, says(202, ENDED)]),
    "jobs delete": Case(["jobs", "delete", "j1"], [VERSION, Told(204)]),
}
"""What asks a gate, and what it is answered where all is well."""


@pytest.mark.parametrize("name", GATE)
def test_done(name: str, archive: str) -> None:
    """0, and with --json one document on stdout and nothing else."""
    case = GATE[name]
    with scripted(*case.answers) as gate:
        done = run(*case.at(gate.url, archive))
    assert done.exit_code == DONE, done.output
    assert done.stdout
    with scripted(*case.answers) as gate:
        as_json = run(*case.at(gate.url, archive, "--json"))
    assert as_json.exit_code == DONE, as_json.output
    assert json.loads(as_json.stdout) is not None


@pytest.mark.parametrize("name", GATE)
def test_failed(name: str, archive: str) -> None:
    """1 where nothing answers: where it was looked for, and how to start one."""
    (port,) = free_ports(1)
    done = run(*GATE[name].at(f"http://127.0.0.1:{port}", archive, "--json"))
    assert (done.exit_code, done.stdout) == (FAILED, "")
    assert done.stderr.startswith("error [gate_unreachable]: ")
    assert f"http://127.0.0.1:{port}" in done.stderr
    assert "safelora-gate up" in done.stderr


WRONG = {
    "no such option": (["--nonsense"], "nonsense"),
    "no address": (["--url", "localhost:8000"], "as http://127.0.0.1:8000"),
    "key in clear": (["--url", "http://gate.example", "--key", "slg_x"], "--allow-http"),
}


@pytest.mark.parametrize("name", GATE)
@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_wrong_arguments(name: str, arguments: list[str], words: str, archive: str) -> None:
    """2 for the command line, with what is wrong in it."""
    case = GATE[name].at("http://127.0.0.1:1", archive, "--json")
    done = run(*case, *arguments)
    assert (done.exit_code, done.stdout) == (WRONG_ARGUMENTS, "")
    assert words in done.stderr
    assert "slg_x" not in done.output


@pytest.mark.parametrize("name", GATE)
def test_a_key_that_the_gate_does_not_know(name: str, archive: str) -> None:
    """2, and where keys are to be had."""
    case = GATE[name]
    first = [VERSION] if VERSION in case.answers else []  # which is told without a key
    with scripted(*first, problem(401, "unauthorized")) as gate:
        done = run(*case.at(gate.url, archive, "--json"))
    assert (done.exit_code, done.stdout) == (WRONG_ARGUMENTS, "")
    assert done.stderr.startswith("error [unauthorized]: about unauthorized\n  ")
    for words in ("SAFELORA_KEY", "safelora-gate up", "safelora-gate keys create"):
        assert words in done.stderr


def test_rejected(archive: str) -> None:
    """3, and with --json the job, its findings on stderr."""
    ended = job("rejected", verdict="rejected", links={"report": "x"})
    answers = [VERSION, says(200, ended), says(200, REJECTION.as_json())]
    with scripted(*answers) as gate:
        done = run("submit", archive, "--url", gate.url)
    assert (done.exit_code, done.stdout) == (REJECTED, "")
    assert "refused dora: field use_dora" in done.stderr
    with scripted(*answers) as gate:
        as_json = run("submit", archive, "--url", gate.url, "--json")
    assert as_json.exit_code == REJECTED
    assert json.loads(as_json.stdout)["state"] == "rejected"


def test_not_verified_is_rejected(tmp_path: Path) -> None:
    """By `verify` too."""
    (tmp_path / "keys.json").write_text('{"keys": []}')
    (tmp_path / "adapter").mkdir()
    done = run("verify", str(tmp_path / "adapter"), "--keys", str(tmp_path / "keys.json"), "--json")
    assert done.exit_code == REJECTED, done.stderr
    assert json.loads(done.stdout)["verified"] is False


WAITS = {
    "submit": Case(
        ["submit", "ARCHIVE"],
        [VERSION, says(202, job("queued")), Told(200, b": still here\n\n", STREAM)],
    ),
    "align": Case(
        ["align", "tiny", *PAIR], [says(200, {**ALIGNMENT, "state": "building", "id": None})]
    ),
    "jobs show --watch": Case(
        ["jobs", "show", "j1", "--watch"],
        [VERSION, says(200, job("queued")), Told(200, b": still here\n\n", STREAM)],
    ),
}


@pytest.mark.parametrize("name", WAITS)
def test_interrupted(name: str, archive: str) -> None:
    """130 for Ctrl-C, and nothing on stdout."""
    with scripted(*WAITS[name].answers) as gate:
        command = WAITS[name].at(gate.url, archive, "--json")
        waiting = subprocess.Popen(
            [sys.executable, "-m", "app.cli", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with waiting:
            while len(gate.heard) < 3:
                assert waiting.poll() is None
                time.sleep(0.01)
            waiting.send_signal(signal.SIGINT)
            said, told = waiting.communicate(timeout=60)
    assert (waiting.returncode, said) == (INTERRUPTED, "")
    assert "Traceback" not in told


def test_the_exit_codes_are_those_on_the_page() -> None:
    """Every one, and no other."""
    shown = re.findall(r"^\| (\d+) \|", TERMINAL_PAGE.read_text(), re.M)
    known = {value for name, value in vars(exit_codes).items() if name.isupper()}
    assert {int(code) for code in shown} == known


def test_every_command_is_on_the_page() -> None:
    page = TERMINAL_PAGE.read_text()
    assert [name for name in COMMANDS if f"safelora-gate {name}" not in page] == []


@pytest.mark.parametrize("names", [["one", "two"], {"one": [], "two": []}])
def test_alignments_that_there_are_are_listed(archive: str, names: Any) -> None:
    """Where none was named, or one that is not there."""
    body = {"status": 422, "code": "alignment_unknown", "detail": "no"}
    with scripted(VERSION, says(422, {**body, "registered": names})) as gate:
        done = run("submit", archive, "--url", gate.url)
    assert done.stderr == "error [alignment_unknown]: no\n  With --alignment: one, two\n"
    with scripted(VERSION, says(422, {**body, "registered": []})) as gate:
        done = run("submit", archive, "--url", gate.url)
    assert "safelora-gate align NAME" in done.stderr


def test_what_is_local_is_json_too(tmp_path: Path) -> None:
    """One document each, and nothing on stderr that a person has to read for it."""
    data = ("--data", str(tmp_path / "var"))
    for name in ("store", "logs"):
        (tmp_path / "var" / name).mkdir(parents=True)

    def told(*arguments: str) -> Any:
        done = run(*arguments, "--json")
        assert done.exit_code == DONE, done.output
        return json.loads(done.stdout)

    assert told("version")["name"] == "safelora-gate"
    kid = told("signing-keys", "create", *data)["kid"]
    new = told("signing-keys", "rotate", *data)["kid"]
    assert [key["kid"] for key in told("signing-keys", "list", *data)["keys"]] == [kid, new]
    assert told("signing-keys", "retire", kid, *data)["retired_at"]
    key = told("keys", "create", "--tenant", "a", "--scope", "jobs", *data)["id"]
    assert told("keys", "revoke", key, *data)["state"] == "revoked"
    assert [each["id"] for each in told("keys", "list", *data)] == [key]


def test_a_port_that_is_taken_is_no_rejection() -> None:
    """1 of `serve`, as of `up`, with what to do."""
    with scripted(VERSION) as other:
        done = run("serve", "--port", other.url.rpartition(":")[2])
    assert (done.exit_code, done.stdout) == (FAILED, "")
    assert "error [port_unavailable]: 127.0.0.1:" in done.stderr
    assert "another --host or --port" in done.stderr


def test_ids_are_there_to_be_copied() -> None:
    """In a terminal of 80 columns too; a newer gate's state has no colour, and is shown."""
    found = [{**ENDED, "id": JOB, "metadata": {"run": "ft-1"}}, job("dissolved")]
    with scripted(VERSION, says(200, {"jobs": found})) as gate:
        done = CliRunner().invoke(cli, ["jobs", "list", "--url", gate.url], env={"COLUMNS": "80"})
    lines = done.stdout.splitlines()
    assert lines[1].split()[:3] == [JOB, "succeeded", "projected"]
    assert lines[2].split()[:2] == ["j1", "dissolved"]
    assert max(len(line) for line in lines) <= 80


def test_where_there_is_nothing_it_says_so() -> None:
    """On stderr, with how to change that; as JSON it is an empty list."""
    with scripted(VERSION, says(200, {"jobs": []})) as gate:
        done = run("jobs", "list", "--url", gate.url)
    assert (done.exit_code, done.stdout) == (DONE, "")
    assert "safelora-gate submit" in done.stderr
    with scripted(VERSION, says(200, {"jobs": []})) as gate:
        assert json.loads(run("jobs", "list", "--url", gate.url, "--json").stdout) == []


def test_the_bar_says_the_stage() -> None:
    """On a terminal; stdout stays clean for what comes of it."""
    controller, terminal = pty.openpty()
    code = (
        "from app.terminal.output import bar\nwith bar('job x') as show: show(3, 9, 'sc\\x1bore')\n"
    )
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=terminal, env=environment
    ) as drawing:
        assert drawing.stdout is not None
        assert drawing.stdout.read() == b""
    os.close(terminal)
    drawn = os.read(controller, 65536).decode()
    os.close(controller)
    assert "job x" in drawn
    assert "sc\\x1bore" in drawn
    assert "3/9" in drawn


def test_a_watched_job_is_shown_once_it_has_ended() -> None:
    """With what to do next; off a terminal there is no bar."""
    running = job("running", progress={"stage": "score", "done": 3, "total": 9})
    with scripted(VERSION, says(200, running), events(running, ENDED)) as gate:
        done = run("jobs", "show", "j1", "--watch", "--url", gate.url)
    assert (done.exit_code, done.stderr) == (DONE, "")
    assert done.stdout.splitlines()[1] == "state:     succeeded"
    assert "safelora-gate report j1" in done.stdout
    assert "safelora-gate jobs download j1 --output DIR" in done.stdout
