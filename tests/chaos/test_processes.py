"""The stack: what is killed comes back with what it had, and nothing outlives the end."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from chaos.parts import KINDS
from chaos.processes import RESTART_SECONDS, Stack
from core.errors import StoreError
from core.store.s3 import S3Store
from tests.chaos.waiting import soon

SLEEP = [sys.executable, "-c", "import time; print('asleep', flush=True); time.sleep(1000)"]


@pytest.fixture
def direct_store(stack: Stack) -> Iterator[S3Store]:
    with contextlib.closing(S3Store(stack.store)) as store:
        yield store


def kill(stack: Stack, name: str) -> None:
    process = stack.process(name)
    process.kill()
    process.wait()


def is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=20.0, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def test_each_api_is_ready(stack: Stack) -> None:
    """They reach the queue and the store."""
    assert len(stack.apis) == 2
    assert soon(lambda: all(is_ready(url) for url in stack.apis))  # others tried faults


def test_a_killed_valkey_has_what_it_acknowledged(stack: Stack) -> None:
    """Up to the last write before the kill."""
    with stack.redis() as redis:
        redis.set("written", "before")
        kill(stack, "valkey")
        assert redis.get("written") == b"before"
        redis.delete("written")


def test_a_killed_seaweed_has_what_it_acknowledged(stack: Stack, direct_store: S3Store) -> None:
    """Objects small and large, up to the last put before the kill."""
    written = {f"kept/{size}": bytes(size) for size in (0, 1, 1000, 300_000)}
    for key, data in written.items():
        direct_store.put(key, data)
    kill(stack, "seaweed")

    def are_kept() -> bool:
        with contextlib.suppress(StoreError):
            return {key: direct_store.get(key) for key in written} == written
        return False

    assert soon(are_kept)


@pytest.mark.parametrize("name", ["api-1", "worker-2", "courier"])
def test_a_killed_process_is_started_again(stack: Stack, name: str) -> None:
    """As another process, and it is counted."""
    before, restarts = stack.process(name), stack.restarts[name]
    kill(stack, name)
    assert before.returncode == -signal.SIGKILL
    assert soon(lambda: stack.process(name) is not before, seconds=10 * RESTART_SECONDS)
    assert stack.process(name).poll() is None
    assert stack.restarts[name] == restarts + 1


def test_the_service_reaches_the_store_through_the_proxy(stack: Stack) -> None:
    """Where the proxy fails, no API is ready; where it passes, all are."""
    assert soon(lambda: all(is_ready(url) for url in stack.apis))
    stack.proxy.mode = "reset"
    try:
        assert not any(is_ready(url) for url in stack.apis)
    finally:
        stack.proxy.mode = "pass"
    assert all(is_ready(url) for url in stack.apis)


def test_the_end_is_clean_and_leaves_nothing(tmp_path: Path) -> None:
    """All end on SIGTERM but SeaweedFS; what `entry` gave in place of a command was run."""

    def entry(name: str, command: list[str]) -> list[str]:
        return SLEEP if name.startswith("worker") else command

    with Stack(tmp_path, entry=entry) as stack:
        assert soon(lambda: "asleep" in stack.log("worker-1").read_text())
        processes = {name: stack.process(name) for kind in KINDS for name in stack.parts(kind)}
    assert processes.pop("seaweed").returncode == -signal.SIGKILL
    ends = {process.returncode for process in processes.values()}
    assert ends == {0, -signal.SIGTERM}  # an API ends by the signal once it has finished
    assert not stack.restarts
