"""The courier as a process: killed in the middle of an attempt, followed by another, stopped."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest
from redis import Redis

from core.store.local import LocalStore
from tests.servers import ValkeyServer
from tests.worker.webhooks.office import Office
from tests.worker.webhooks.receiver import Receiver, receiving

PATIENCE = 60.0
Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def held() -> Iterator[Receiver]:
    with receiving(held=True) as opened:
        yield opened


@pytest.fixture
def office(tmp_path: Path, redis: Redis, held: Receiver) -> Office:
    return Office(LocalStore(tmp_path / "store"), redis, [held])


@pytest.fixture
def start(tmp_path: Path, valkey: ValkeyServer, held: Receiver) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []
    environment = {
        **os.environ,
        "SAFELORA_STORE__PATH": str(tmp_path / "store"),
        "SAFELORA_REDIS__URL": valkey.url,
        "SAFELORA_QUEUE__NAME": "webhooks",
        "SAFELORA_WEBHOOKS__ALLOW": json.dumps([held.origin]),
        "SAFELORA_WEBHOOKS__EVERY": "0.1",
    }

    def courier() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "worker", "courier"]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        started.append(process)
        return process

    yield courier
    for process in started:
        process.kill()
        process.communicate()


def until(condition: Callable[[], bool]) -> None:
    end = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < end
        sleep(0.02)


def test_a_courier_that_is_killed_under_an_attempt_is_followed_by_another(
    office: Office, held: Receiver, redis: Redis, start: Start
) -> None:
    """The receiver hears the same message under the same id once more, and then no more."""
    request = office.end(callback_url=held.url)
    first = start()
    until(lambda: len(held.got) == 1)
    first.kill()
    first.wait()
    (lock,) = redis.keys("safelora:delivery:*")
    assert 0 < redis.pttl(lock) <= 25_000  # it would lapse by itself
    redis.delete(lock)
    held.go.set()
    second = start()
    until(lambda: [d.state for d in office.deliveries(request)] == ["delivered"])
    assert len(held.got) == 2
    assert len({(sent.headers["webhook-id"], sent.body) for sent in held.got}) == 1
    for sent in held.got:
        office.verified(sent)
    until(lambda: office.marks() == [])
    second.terminate()
    output, _ = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0
    assert held.url not in output.decode()
    assert office.secret not in output.decode()
