"""Ten rounds of the whole: the service keeps what it promised."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_accepted_job_comes_to_the_right_end(tmp_path: Path) -> None:
    """Whatever is killed, stopped, frozen, wiped or cut off meanwhile; the last line says so."""
    report = tmp_path / "report.md"
    arguments = ["--rounds", "10", "--jobs-per-round", "10", "--seed", "3051", "--brisk"]
    command = [sys.executable, "-m", "chaos", *arguments, "--report", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = done.stdout.splitlines()[-1]
    counts = re.fullmatch(
        r"chaos: rounds=10 jobs=(\d+) faults=10 lost=0 wrong=0 duplicated=0 stuck=0", last
    )
    assert counts, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    assert int(counts[1]) > 50
    assert done.returncode == 0
    assert last in report.read_text()
