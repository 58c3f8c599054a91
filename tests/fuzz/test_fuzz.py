"""A run finds nothing in what is there, and everything that was put there to be found."""

import json
import re
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from fuzz.ledger import Tally
from fuzz.plants import KINDS
from fuzz.run import Job, run_all

ROOT = Path(__file__).parents[2]
needs_atheris = pytest.mark.skipif(find_spec("atheris") is None, reason="no build of atheris here")


def fuzz(*arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines of `python -m fuzz`."""
    command = [sys.executable, "-m", "fuzz", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


@needs_atheris
def test_each_input_is_accepted_or_rejected() -> None:
    """A short run of every target ends well, and its last line counts what came of each input."""
    exit_code, lines = fuzz("--inputs", "2000")
    counts = re.fullmatch(
        r"fuzz: inputs=(\d+) accepted=(\d+) rejected=(\d+) crashed=0 hung=0", lines[-1]
    )
    assert counts, lines
    inputs, accepted, rejected = map(int, counts.groups())
    assert inputs >= 2000
    assert inputs == accepted + rejected
    assert accepted > 200
    assert rejected > 200
    assert exit_code == 0


@needs_atheris
@pytest.mark.parametrize(
    ("plant", "counts"), [("crash", "crashed=1 hung=0"), ("hang", "crashed=0 hung=1")]
)
def test_planted_fault_is_found_and_kept(plant: str, counts: str, tmp_path: Path) -> None:
    """What goes wrong for a rare input only is found, and the input is on disk to be seen again."""
    exit_code, lines = fuzz("--plant", plant, "--inputs", "50000", "--keep", str(tmp_path))
    assert exit_code == 1
    assert lines[-1].endswith(counts), lines
    (kept,) = tmp_path.iterdir()
    assert f"    python -m fuzz --replay {kept} --target header --plant {plant}" in lines
    (seen_again,) = run_all([replay_job(kept, plant, tmp_path / "again")])
    assert seen_again.tally.faults == 1


@pytest.mark.parametrize("plant", KINDS)
def test_end_of_a_process_is_told_by_its_input(plant: str, tmp_path: Path) -> None:
    """However one dies, raising or not, its last input counts as the fault and is handed on."""
    tensors = {
        "a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]},
        "b": {"dtype": "F16", "shape": [1, 1, 1], "data_offsets": [2, 4]},
    }
    header = json.dumps(tensors).encode()
    data = struct.pack("<Q", len(header)) + header + bytes(4)
    file = tmp_path / "input"
    file.write_bytes(data)
    (outcome,) = run_all([replay_job(file, plant, tmp_path / "run")])
    hung = int(plant == "hang")
    assert outcome.tally == Tally(inputs=1, crashed=1 - hung, hung=hung)
    assert outcome.offender == data


def replay_job(file: Path, plant: str, folder: Path) -> Job:
    return Job("replay", "header", folder, folder, ("--replay", str(file), "--plant", plant))
