"""Seconds by stage."""

import threading
import time

import pytest

from worker.tracking import Tracker


@pytest.mark.parametrize("workers", [1, 3])
def test_stages_that_overlap_take_no_longer_than_has_passed(workers: int) -> None:
    """Several threads in one at a time add up to what passed, not to a multiple of it."""
    tracker, together = Tracker(), threading.Barrier(workers)

    def work() -> None:
        together.wait(30)
        with tracker.turn("score", at_once=workers):
            together.wait(30)
            time.sleep(0.02)
            together.wait(30)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    timings = tracker.finish()
    assert 0.02 <= timings["score"] <= timings["total"]
