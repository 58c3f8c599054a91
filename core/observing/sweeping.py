"""What every process that sweeps the queue counts: workers do, and the courier."""

from typing import Final

from core.observing.family import Counted

DEATHS: Final = Counted(
    "safelora_worker_deaths_total",
    "jobs whose worker was silent for a lease, as found by this process's sweep",
)
