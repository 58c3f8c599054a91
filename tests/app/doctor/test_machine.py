"""What the doctor says of the machine it runs on."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.doctor import disk
from app.doctor.clocks import HARMFUL_SECONDS, NOTICED_SECONDS, clock_check
from app.doctor.disk import disk_checks, folder_check
from app.doctor.machine import machine_checks, machine_says
from core.settings import Settings
from tests.app.doctor.conftest import of, state_of
from worker import machine

FACTS = {
    "torch": "2.13.0",
    "device": "cpu",
    "gpu": None,
    "threads": 2,
    "products": "our own",
    "compiled": True,
    "memory_free": 2**30,
    "memory_total": 2**31,
}


def test_folders_that_are_sound_are(settings: Settings) -> None:
    """Though none of them is there yet, nor is after."""
    assert {check.state for check in disk_checks(settings)} == {"ok"}
    assert not settings.scratch.exists()
    assert not settings.alignments.cache.exists()


def test_a_folder_without_room_or_right_is_told(settings: Settings, tmp_path: Path) -> None:
    """A disk that could not hold what may come, and one that takes nothing."""
    assert folder_check("x", tmp_path, 2**62, "X").state == "warning"
    nowhere = settings.model_copy(update={"scratch": Path("/proc/safelora")})
    assert state_of(disk_checks(nowhere), "scratch") == "failed"


def test_what_the_cache_holds_already_is_not_needed_again(settings: Settings) -> None:
    """A disk that the cache has filled up to its bound is large enough."""
    cache = settings.alignments.cache
    cache.mkdir()
    (cache / "shard").write_bytes(b"x")
    assert disk._size(cache) == settings.alignments.disk_bytes
    assert state_of(disk_checks(settings), "alignments' disk") == "ok"


def test_a_folder_in_memory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the mount that holds it: the longest way that it begins with, the last of two."""
    root, folder = "1 1 0:1 / / rw - ext4 x rw", tmp_path.resolve()
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(disk, "MOUNTS", mounts)
    mounts.write_text(f"{root}\n2 1 0:2 / {folder} rw shared:1 - tmpfs x rw\n")
    assert folder_check("x", folder / "scratch", 0, "X").state == "warning"
    mounts.write_text(f"{root}\n2 1 0:2 / {folder}-other rw - tmpfs x rw\n")
    assert folder_check("x", folder / "scratch", 0, "X").state == "ok"


def test_worker_of_this_machine_answers_for_itself(settings: Settings) -> None:
    """As the engine's own process has it."""
    checks = list(machine_checks(settings))
    assert state_of(checks, "worker here") == "ok"
    assert state_of(checks, "worker's memory") == "ok"


def test_a_gpu_that_is_not_there_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variable that asks for it."""
    monkeypatch.setenv("SAFELORA_WORKER__DEVICE", "cuda:99")
    [(state, found)] = of(machine_checks(settings), "worker here")
    assert state == "failed"
    assert "SAFELORA_WORKER__DEVICE" in found


def test_a_machine_without_the_engine_serves_all_the_same(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of an API is."""
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert state_of(machine_checks(settings), "worker here") == "warning"


@pytest.mark.parametrize(
    ("fact", "name"),
    [({"compiled": False}, "worker's products"), ({"memory_total": 1}, "worker's memory")],
)
def test_what_makes_a_worker_slow_or_small_is_told(
    settings: Settings, fact: dict[str, object], name: str
) -> None:
    """Products that were not compiled; less memory than alignments may take."""
    assert state_of(machine_says(FACTS, settings), name) == "ok"
    assert state_of(machine_says(FACTS | fact, settings), name) == "warning"


def test_a_bound_of_the_container_counts(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Not the machine's memory, where less may be used."""
    for name, value in (("max", 2**20), ("current", 2**19)):
        (tmp_path / name).write_text(f"{value}\n")
    monkeypatch.setattr(machine, "LIMITS", (tmp_path / "max", tmp_path / "current"))
    machine.run_process(settings)
    facts = json.loads(capsys.readouterr().out)
    assert (facts["memory_total"], facts["memory_free"]) == (2**20, 2**19)


@given(st.floats(-1e6, 1e6))
def test_a_clock_is_told_by_how_far_it_is_off(skew: float) -> None:
    """Sound within the noticeable, a failure from where it does harm, whichever way."""
    state = clock_check("x", time.time() + skew, time.time()).state
    if abs(skew) < NOTICED_SECONDS / 2:
        assert state == "ok"
    elif NOTICED_SECONDS + 1 < abs(skew) < HARMFUL_SECONDS - 1:
        assert state == "warning"
    elif abs(skew) > HARMFUL_SECONDS + 1:
        assert state == "failed"
