"""The sign of life that probes look at."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from core.heartbeat import Heartbeat
from core.records import Records
from core.settings import RetentionSettings
from tests.servers import free_ports
from tests.worker.service import Service
from worker import courier
from worker.courier import run_courier

PATIENCE = 60.0


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def beats_again(path: Path) -> None:
    """Whatever it did before, it beats from now on."""
    os.utime(path, (0, 0))
    until(lambda: path.stat().st_mtime > 0)


@pytest.mark.parametrize("command", ["run", "courier"])
def test_it_beats_while_redis_is_away(command: str, tmp_path: Path) -> None:
    """Which is waited for: a probe must not have warm tensors thrown away meanwhile."""
    beat = tmp_path / "beat"
    (port,) = free_ports(1)
    environment = {
        **os.environ,
        "SAFELORA_STORE__PATH": str(tmp_path / "store"),
        "SAFELORA_SCRATCH": str(tmp_path / "scratch"),
        "SAFELORA_ALIGNMENTS__CACHE": str(tmp_path / "alignments"),
        "SAFELORA_REDIS__URL": f"redis://127.0.0.1:{port}/0",
        "SAFELORA_HEARTBEAT": str(beat),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "worker", command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(beat.exists)
        beats_again(beat)
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


@contextmanager
def couriering(service: Service, path: Path, *beside: Thread) -> Iterator[None]:
    stop = Event()
    thread = Thread(
        target=run_courier,
        args=(service.records, service.queue, RetentionSettings(), stop),
        kwargs={"beside": beside, "heartbeat": Heartbeat(path)},
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "BEAT_SECONDS", 0.02)


@pytest.mark.usefixtures("quick")
def test_a_courier_beats_while_a_duty_waits(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store may take its time, or be away."""
    answer = Event()
    monkeypatch.setattr(Records, "pending", lambda _: iter([]) if answer.wait(30) else None)
    try:
        with couriering(service, tmp_path / "beat"):
            until((tmp_path / "beat").exists)
            beats_again(tmp_path / "beat")
            answer.set()
    finally:
        answer.set()


@pytest.mark.usefixtures("quick")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("duty", ["sweep", "reconcile", "expire"])
def test_a_courier_that_lost_a_duty_beats_no_more(
    duty: str, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody foresaw ends one thread; the probe has the whole process started again."""
    broken = Event()

    def breaks(*_: object, **__: object) -> None:
        broken.set()
        raise ZeroDivisionError

    monkeypatch.setattr(courier, duty, breaks)
    with couriering(service, tmp_path / "beat"):
        assert broken.wait(PATIENCE)
        time.sleep(0.2)
        (tmp_path / "beat").unlink(missing_ok=True)
        time.sleep(0.2)
        assert not (tmp_path / "beat").exists()


@pytest.mark.usefixtures("quick")
def test_a_courier_that_delivers_no_more_does_not_beat(service: Service, tmp_path: Path) -> None:
    """Webhooks have a thread of their own, which counts too."""
    ended = Thread(target=lambda: None)
    ended.start()
    ended.join()
    with couriering(service, tmp_path / "beat", ended):
        time.sleep(0.3)
        assert not (tmp_path / "beat").exists()


def test_a_disk_that_takes_no_sign_stops_no_work(tmp_path: Path) -> None:
    """A full disk is told in the log, and the probe tells the rest."""
    Heartbeat(tmp_path / "missing" / "beat").beat()
