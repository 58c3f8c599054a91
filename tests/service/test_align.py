"""`safelora-gate align` against the running service: what it prints, and its exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from tests.servers import free_ports
from tests.service.running import Running
from tests.worker.making import GOLDEN

READY, FAILED, WRONG_ARGUMENTS = 0, 1, 2


def command(
    service: Running, *arguments: str, url: str | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    address = url or str(service.client.base_url)
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "align", *arguments, "--url", address],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def sources(base: Path | str, aligned: Path | str) -> list[str]:
    return ["--base", str(base), "--aligned", str(aligned)]


def fresh_name() -> str:
    return f"align-{uuid4().hex[:8]}"


def test_pair_is_registered_and_waited_for(service: Running) -> None:
    """Exit 0 and the id on stdout; every option reaches the record; again is no error."""
    name = fresh_name()
    options = ["--module", "q_proj", "--module", "v_proj", "--base-name", "acme/x", "--rank", "8"]
    arguments = [name, *sources("base", "aligned"), *options, "--dtype", "float32"]
    done = command(service, *arguments, cwd=GOLDEN)
    assert done.returncode == READY, done.stderr
    assert done.stderr.startswith("warning [pair_far_apart]: ")  # made of random weights
    record = service.client.get(f"/v1/alignments/{name}").json()
    assert done.stdout == f"{name} is ready: {record['id']}\n"
    assert (record["modules"], record["base_names"]) == (["q_proj", "v_proj"], ["acme/x"])
    assert (record["dtype"], record["rank"]) == ("float32", 8)
    assert record["base"] == str(GOLDEN / "base")
    again = command(service, *arguments, cwd=GOLDEN)
    assert (again.returncode, again.stdout) == (READY, done.stdout)


def test_pair_that_cannot_be_built_says_why(service: Running) -> None:
    """Exit 1 with the record's message."""
    done = command(service, fresh_name(), *sources(GOLDEN / "base", GOLDEN / "base"))
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert "pair_identical" in done.stderr
    assert "check that base is the model before alignment" in done.stderr


def test_wrong_arguments_are_told_from_failures(service: Running) -> None:
    """Exit 2 for what the command line, or the gate, does not take; 1 where no gate answers."""
    pair = sources(GOLDEN / "base", GOLDEN / "aligned")
    wrong = {
        "source_not_allowed": [fresh_name(), *sources("/etc", "/etc")],
        "source_not_found": [fresh_name(), *sources(GOLDEN / "nowhere", GOLDEN / "aligned")],
        "small letters": ["Not-A-Name", *pair],
        "alignment_exists": ["tiny", *pair, "--rank", "7"],
        "Missing option": [fresh_name()],
        "is no folder": [fresh_name(), *sources("s3://models/x", GOLDEN / "aligned"), "--dry-run"],
    }
    for words, arguments in wrong.items():
        done = command(service, *arguments)
        assert (done.returncode, done.stdout) == (WRONG_ARGUMENTS, ""), done.stderr
        assert words in done.stderr
    (port,) = free_ports(1)
    unreachable = command(service, "tiny", *pair, url=f"http://127.0.0.1:{port}")
    assert unreachable.returncode == FAILED
    assert "gate_unreachable" in unreachable.stderr


def test_dry_run_registers_nothing(service: Running) -> None:
    """Sizes and times from the headers of two folders on this machine."""
    name = fresh_name()
    arguments = [name, *sources("base", "aligned"), "--module", "q_proj", "--dry-run"]
    done = command(service, *arguments, cwd=GOLDEN)
    assert (done.returncode, done.stderr) == (0, "")
    assert "build takes at 1 GB/s" in done.stdout
    as_json = json.loads(command(service, *arguments, "--json", cwd=GOLDEN).stdout)
    assert as_json["whole"]["narrow"]["v"] * 2 == as_json["whole"]["wide"]["v"]
    assert service.client.get(f"/v1/alignments/{name}").status_code == 404
