"""Scratch: what a process leaves behind goes with the next one, what a living one has stays."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.scratch import Scratch

HOLD = """
import sys, time
from pathlib import Path
from core.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]))
(scratch.folder / "upload").write_text("half")
print(scratch.folder, flush=True)
time.sleep(60)
"""


def holder(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(parent)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    """And what a living one has is not."""
    dead, left = holder(tmp_path)
    living, kept = holder(tmp_path)
    with dead, living:
        dead.kill()
        dead.wait()
        own = Scratch(tmp_path).folder
        assert not left.exists()
        assert (kept / "upload").read_text() == "half"
        assert own.is_dir()
        living.kill()


def test_a_closed_scratch_leaves_nothing(tmp_path: Path) -> None:
    """Not even its folder; and it makes another one when it is asked again."""
    scratch = Scratch(tmp_path)
    (scratch.folder / "file").touch()
    scratch.close()
    assert list(tmp_path.iterdir()) == []
    assert scratch.folder.is_dir()


def test_a_folder_that_somebody_removed_is_made_again(tmp_path: Path) -> None:
    """As by what cleans /tmp."""
    scratch = Scratch(tmp_path)
    (scratch.folder / ".lock").unlink()
    scratch.folder.rmdir()
    assert scratch.folder.is_dir()


def test_a_folder_without_a_lock_is_left_for_a_while(tmp_path: Path) -> None:
    """Its process may be about to lock it; after a minute it is none."""
    young, old = tmp_path / "process-young", tmp_path / "process-old"
    for folder in (young, old):
        folder.mkdir()
    os.utime(old, (time.time() - 120, time.time() - 120))
    Scratch(tmp_path).sweep()
    assert young.is_dir()
    assert not old.exists()


def test_what_cannot_be_removed_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What somebody left half removed goes; what stays is named in the log, and others work on."""
    half = tmp_path / "process-half"
    (half / "left").mkdir(parents=True)
    stuck = tmp_path / "process-stuck"
    stuck.write_text("no folder")
    for path in (half, stuck):
        os.utime(path, (0, 0))
    scratch = Scratch(tmp_path)
    assert scratch.folder.is_dir()
    assert not half.exists()
    assert "process-stuck" in caplog.text
    scratch.close()
