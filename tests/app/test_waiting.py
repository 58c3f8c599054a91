"""A long poll: word of the end wakes it, and it needs none."""

import threading
import time
from collections.abc import Callable

import pytest

from app import waiting
from tests.app.gate import Gate


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert holds()


def test_word_of_the_end_wakes_who_waits(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself it would not have looked again in the time that it may wait."""
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 600.0)
    gate.register()
    request = gate.request_of(gate.post())
    states: list[str] = []

    def wait() -> None:
        states.append(gate.client.get(f"/v1/jobs/{request.id}?wait=50").json()["state"])

    caller = threading.Thread(target=wait)
    caller.start()
    wait_until(lambda: gate.services.ends.hears)
    gate.finish(request)
    gate.services.queue.tell_end(request.id)
    caller.join(30)
    assert states == ["succeeded"]


def test_an_end_that_nobody_tells_is_found(gate: Gate) -> None:
    """Word may be lost, with Redis or in it: the store is looked into all the same."""
    gate.register()
    request = gate.request_of(gate.post())
    timer = threading.Timer(0.5, gate.finish, (request,))
    timer.start()
    assert gate.client.get(f"/v1/jobs/{request.id}?wait=30").json()["state"] == "succeeded"
    timer.join()


def test_nothing_is_kept_of_who_waited(gate: Gate) -> None:
    gate.register()
    request = gate.request_of(gate.post())
    gate.client.get(f"/v1/jobs/{request.id}?wait=0.2")
    assert gate.services.ends.waiting_for() == frozenset()
