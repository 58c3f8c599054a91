"""`make demo`, and what may be done with the folder that it leaves."""

import os
import subprocess
import sys
from pathlib import Path

import httpx2

from tests.service.up import up, url_in

_ROOT = Path(__file__).parents[2]


def demonstrated(data: Path, commands: Path) -> subprocess.CompletedProcess[str]:
    """The script, run with the commands of this environment."""
    commands.mkdir()
    gate = commands / "safelora-gate"
    gate.write_text(f'#!/bin/sh\nexec {sys.executable} -m app.cli "$@"\n')
    gate.chmod(0o755)
    (commands / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (commands / "python").chmod(0o755)
    return subprocess.run(
        ["bash", str(_ROOT / "demo" / "run.sh"), str(data)],
        env={**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_printed_key_is_good_for_the_gate_started_again(tmp_path: Path) -> None:
    """The demo says how to go on in a browser: its folder starts again, and the key is known."""
    data = tmp_path / "data"
    done = demonstrated(data, tmp_path / "commands")
    assert done.returncode == 0, done.stderr
    assert "grep" not in done.stderr
    key = next(line.strip() for line in done.stdout.splitlines() if line.strip()[:4] == "slg_")
    with up(data) as (_, said):
        answer = httpx2.get(
            f"{url_in(said)}/v1/jobs", headers={"Authorization": f"Bearer {key}"}, trust_env=False
        )
    assert answer.status_code == 200
    assert len(answer.json()["jobs"]) == 1
