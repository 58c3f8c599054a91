"""Several who miss the same file at once, on one machine."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from core.alignments import Manifest
from tests.worker.alignment.tiers.making import CountingStore, Machine, load_all, same
from worker.alignment.tiers.lock import locked

ROOT = Path(__file__).parents[4]


@contextmanager
def fetching(
    machine: Machine, manifest: Manifest, seconds: float
) -> Iterator[subprocess.Popen[str]]:
    """A process that is about to load every module of the alignment from this machine's disk."""
    arguments = [machine.cache.with_name("store"), machine.cache, manifest.id, seconds]
    command = [sys.executable, "-m", "tests.worker.alignment.tiers.fetching"]
    with subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_threads_that_miss_at_once_fetch_once(
    manifest: Manifest, counting: CountingStore, machine: Machine
) -> None:
    """Eight on a cold disk: each file is asked for once, and all load the same."""
    counting.seconds = 0.02
    barrier = threading.Barrier(8)

    def load() -> bool:
        barrier.wait()
        return same(load_all(machine.process(manifest)), load_all(machine.process(manifest)))

    with ThreadPoolExecutor(8) as pool:
        assert all(future.result() for future in [pool.submit(load) for _ in range(8)])
    assert counting.gets == dict.fromkeys(manifest.files, 1)
    assert machine.on_disk(manifest) == set(manifest.files)


def test_one_at_a_time_holds_a_lock(tmp_path: Path) -> None:
    """Also where one lets go, and so removes the file, while others wait and more come."""
    inside, most, entered = 0, 0, 0

    def enter_often() -> None:
        nonlocal inside, most, entered
        for _ in range(30):
            with locked(tmp_path / "lock"):
                inside += 1
                most = max(most, inside)
                entered += 1
                time.sleep(0.0005)
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(enter_often) for _ in range(8)]:
            future.result()
    assert (most, entered) == (1, 8 * 30)
    assert not (tmp_path / "lock").exists()


def test_processes_that_miss_at_once_fetch_once(manifest: Manifest, machine: Machine) -> None:
    """Two workers, started together on a slow store."""
    with ExitStack() as stack:
        processes = [stack.enter_context(fetching(machine, manifest, 0.1)) for _ in range(2)]
        assert [line(process) for process in processes] == ["ready", "ready"]
        for process in processes:
            start(process)
        outputs = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [output.pop() for output in outputs] == ["done", "done"]
    assert Counter(name for output in outputs for name in output) == dict.fromkeys(
        manifest.files, 1
    )


def test_a_killed_process_holds_nobody_up(
    manifest: Manifest, counting: CountingStore, machine: Machine
) -> None:
    """Killed in the middle of a fetch, it leaves neither a lock that is held nor half a file."""
    with fetching(machine, manifest, 600.0) as process:
        assert line(process) == "ready"
        start(process)
        stuck_at = line(process)
        assert (machine.cache / manifest.id / f"{stuck_at}.lock").exists()
        process.kill()
        process.wait()
    load_all(machine.process(manifest))
    assert counting.gets == dict.fromkeys(manifest.files, 1)
    assert machine.on_disk(manifest) == {*manifest.files, "alignment.json"}
