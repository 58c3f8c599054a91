"""Both gates asked the same in turn, and what their answers took."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import httpx2

from benchmarks.queue_depth.gates import Gate

WARM_UP = 20


@dataclass(frozen=True)
class Samples:
    """Seconds by call, of one gate."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"GET": [], "POST": []})

    def figures(self, call: str) -> tuple[float, float]:
        """Median and 95th percentile."""
        return median(self.seconds[call]), percentile(self.seconds[call], 95)


def sample(empty: Gate, deep: Gate, count: int) -> tuple[Samples, Samples]:
    """`count` samples of each call at each gate, in the order A, B, B, A, …"""
    _alternate(empty, deep, WARM_UP)
    return _alternate(empty, deep, count)


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that is no less than `percent` of all."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def _alternate(empty: Gate, deep: Gate, count: int) -> tuple[Samples, Samples]:
    of_empty, of_deep = Samples(), Samples()
    pairs = [(empty, of_empty), (deep, of_deep)]
    for _ in range(count):
        for gate, samples in pairs:
            _ask(gate, samples)
        pairs.reverse()
    return of_empty, of_deep


def _ask(gate: Gate, samples: Samples) -> None:
    """Post a job, look at it while it waits behind all others, and take it off again."""
    posted = _timed(gate, "POST", gate.new_post(), 202, samples)
    job_id = posted.json()["id"]
    get = gate.client.build_request("GET", f"/v1/jobs/{job_id}")
    seen = _timed(gate, "GET", get, 200, samples)
    if seen.json()["state"] != "queued":
        raise SystemExit(f"job {job_id} does not wait: {seen.text}")
    gate.take_off(job_id)


def _timed(
    gate: Gate, call: str, request: httpx2.Request, status: int, samples: Samples
) -> httpx2.Response:
    start = time.perf_counter()
    response = gate.client.send(request)
    samples.seconds[call].append(time.perf_counter() - start)
    if response.status_code != status:
        raise SystemExit(f"{call} was answered {response.status_code}: {response.text}")
    return response
