"""How long it takes until the service is back after a fault."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

PATIENCE = 180.0
_AGAIN_SECONDS = 0.2

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovered:
    """After the faults of one name. Seconds; infinite where the service did not come back."""

    fault: str
    count: int
    median: float
    longest: float


class Recovery:
    """Times the service by `probe`, which is true if a job was posted and finished."""

    def __init__(self, probe: Callable[[], bool], *, patience: float = PATIENCE) -> None:
        self._probe = probe
        self._patience = patience
        self._samples: dict[str, list[float]] = {}

    def measure(self, fault: str) -> float:
        """Seconds from now until a probe succeeds; infinite if none does while patience lasts."""
        start = time.monotonic()
        while not self._probe():
            if time.monotonic() - start > self._patience:
                _log.error("the service was not back %.0f s after: %s", self._patience, fault)
                return self._keep(fault, math.inf)
            time.sleep(_AGAIN_SECONDS)
        return self._keep(fault, time.monotonic() - start)

    def summary(self) -> list[Recovered]:
        """One row for each name of a fault."""
        return [
            Recovered(fault, len(seconds), median(seconds), max(seconds))
            for fault, seconds in sorted(self._samples.items())
        ]

    def _keep(self, fault: str, seconds: float) -> float:
        self._samples.setdefault(fault, []).append(seconds)
        return seconds
