"""The faults: each does what it is named for, and is over when it returns."""

import resource
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from chaos.faults import (
    FAULTS,
    DiskFull,
    Freeze,
    Kill,
    StoreTrouble,
    Terminate,
    Wipe,
    choose,
    file_limit,
)
from chaos.processes import Stack
from chaos.proxy import Mode
from tests.chaos.waiting import soon

WRITER = """
import sys
for size in map(int, sys.stdin):
    try:
        with open(sys.argv[1], "wb") as file:
            file.write(bytes(size))
        print("written", flush=True)
    except OSError as error:
        print(error.errno, flush=True)
"""
EFBIG = "27"


@pytest.fixture
def random() -> Random:
    return Random(1)


def state(process: subprocess.Popen[bytes]) -> str:
    """`T` is stopped; see proc(5)."""
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0]


def test_kill_ends_a_process_at_once(stack: Stack, random: Random) -> None:
    """By SIGKILL, and the log says which."""
    process = stack.process("courier")
    told = Kill("courier").inject(stack, random)
    assert process.returncode == -signal.SIGKILL
    assert told == f"killed courier (process {process.pid})"


def test_kill_waits_for_a_process_to_kill(stack: Stack, random: Random) -> None:
    """Twice in a row, it hits the process that was started meanwhile."""
    first = Kill("courier").inject(stack, random)
    second = Kill("courier").inject(stack, random)
    assert first != second


def test_terminate_lets_a_process_end_by_itself(stack: Stack, random: Random) -> None:
    """By SIGTERM, which an API obeys within the grace."""
    apis = [stack.process(name) for name in stack.parts("api")]
    told = Terminate("api").inject(stack, random)
    ended = [process.returncode for process in apis if process.returncode is not None]
    assert ended == [-signal.SIGTERM], told


def test_terminate_kills_what_does_not_end(
    stack: Stack, random: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docker does once its patience is over."""
    monkeypatch.setattr("chaos.faults.GRACE_SECONDS", 0.2)
    process = stack.process("valkey")
    process.send_signal(signal.SIGSTOP)  # deaf to SIGTERM
    told = Terminate("valkey").inject(stack, random)
    assert process.returncode == -signal.SIGKILL
    assert "did not end" in told


def test_freeze_stops_a_process_for_a_while(stack: Stack, random: Random) -> None:
    """It is the same process before and after."""
    assert soon(lambda: stack.process("courier").poll() is None)
    process = stack.process("courier")
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(Freeze("courier", 0.5).inject, stack, random)
        assert soon(lambda: state(process) == "T")
        done.result()
    assert state(process) != "T"
    assert stack.process("courier") is process


def test_wipe_empties_the_queue(stack: Stack, random: Random) -> None:
    """Whatever Valkey held is gone."""
    with stack.redis() as redis:
        redis.set("kept", "?")
        Wipe().inject(stack, random)
        assert redis.get("kept") is None


@pytest.mark.parametrize("mode", ["reset", "blackhole", "latency", "truncate"])
def test_store_trouble_sets_the_mode_and_heals(stack: Stack, random: Random, mode: Mode) -> None:
    """The proxy passes again when it is over."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(StoreTrouble(mode, 0.3).inject, stack, random)
        assert soon(lambda: stack.proxy.mode == mode)
        assert mode in done.result()
    assert stack.proxy.mode == "pass"


def test_disk_full_limits_a_worker_and_empties_its_cache(stack: Stack, random: Random) -> None:
    """Its copies are gone and the limit is on while it lasts; what is being built is left alone."""
    worker = Random(1).choice(stack.parts("worker"))
    process = stack.process(worker)
    copy = stack.cache(worker) / "some-id" / "shard"
    building = stack.cache(worker) / ".building-some" / "shard"
    for path in (copy, building):
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(100))

    def limit() -> int:
        return resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[0]

    before = limit()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(DiskFull(0.5).inject, stack, random)
        assert soon(lambda: not copy.exists())
        assert limit() in (0, 99)
        assert done.result().startswith(f"{worker} lost 1 copies")
    assert limit() == before
    assert building.exists()


def test_a_write_past_the_limit_fails_in_a_running_process(tmp_path: Path) -> None:
    """With EFBIG, until the limit is lifted; what it prints into a pipe is not limited."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "file")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:

        def write(size: int) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{size}\n".encode())
            process.stdin.flush()
            return process.stdout.readline().decode().strip()

        assert write(5000) == "written"
        with file_limit(process, 1000):
            assert write(1000) == "written"
            assert write(1001) == EFBIG
        assert write(5000) == "written"
        with file_limit(process, 0):
            assert write(1) == EFBIG


def test_a_limited_process_may_end(tmp_path: Path) -> None:
    """There is nothing to restore then, and that is no error."""
    with subprocess.Popen(["sleep", "1000"], cwd=tmp_path) as process, file_limit(process, 0):
        process.kill()
        process.wait()


def test_faults_are_chosen_at_random_and_again_the_same_by_seed() -> None:
    """Each comes up, and a run can be repeated."""
    drawn = [choose(random).name for random in [Random(7)] for _ in range(500)]
    again = [choose(random).name for random in [Random(7)] for _ in range(500)]
    assert drawn == again
    assert set(Counter(drawn)) == {fault.name for fault in FAULTS}
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
