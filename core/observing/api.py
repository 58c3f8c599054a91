"""What the API tells of itself. One process has one."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from core.errors import QueueError
from core.observing.family import SECONDS, Counted, Family, Gauged, Spread
from core.observing.process import new_registry
from core.queue import JobQueue
from core.queue_state import queue_state
from core.settings import Settings

REQUESTS: Final = Counted(
    "safelora_http_requests_total",
    "requests answered; route is `none` for those that came to none: refused before, or there is no"
    " such address",
    ("method", "route", "status"),
)
REQUEST_SECONDS: Final = Spread(
    "safelora_http_request_duration_seconds",
    "from a request's head to the end of its answer, its body included; without what waits by its"
    " nature, as events and long polls do",
    ("method", "route"),
    bounds=SECONDS[:-2],
)
IN_FLIGHT: Final = Gauged(
    "safelora_http_requests_in_flight",
    "requests under way: `stream` (events and long polls), `upload` (bodies with files), `other`",
    ("kind",),
)
RECEIVED: Final = Counted("safelora_http_received_bytes_total", "of request bodies, as they came")
SIGN_IN_FAILURES: Final = Counted(
    "safelora_sign_in_failures_total",
    "keys, sessions and signatures of events that were missing or no good",
)

QUEUE_UP: Final = Gauged("safelora_queue_up", "1 if Redis answered this scrape, else 0")
JOBS: Final = Gauged(
    "safelora_jobs",
    "jobs and builds on the queue: `queued` for any worker, `held` until their tenant has fewer on"
    " their way, `running`",
    ("state",),
)
OLDEST: Final = Gauged(
    "safelora_oldest_queued_job_seconds", "age of the oldest job that waits for a worker, or 0"
)
WORKERS: Final = Gauged(
    "safelora_workers", "workers that were heard of within two leases", ("state",)
)
COURIER_UP: Final = Gauged(
    "safelora_courier_up", "1 if a courier was heard of within two leases, else 0"
)
READ: Final[tuple[Family, ...]] = (QUEUE_UP, JOBS, OLDEST, WORKERS, COURIER_UP)
"""At the scrape, from Redis."""
FAMILIES: Final[tuple[Family, ...]] = (
    *(REQUESTS, REQUEST_SECONDS, IN_FLIGHT, RECEIVED, SIGN_IN_FAILURES),
    *READ,
)


class ApiMetrics:
    """Safe to share between threads."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Without settings no disk is looked at."""
        places = {} if settings is None else {"scratch": settings.scratch}
        self.registry = new_registry("api", settings, places)
        self.requests = REQUESTS.made(self.registry)
        self.seconds = REQUEST_SECONDS.made(self.registry)
        self.in_flight = IN_FLIGHT.made(self.registry)
        self.received = RECEIVED.made(self.registry)
        self.sign_in_failures = SIGN_IN_FAILURES.made(self.registry)

    def watch_queue(self, queue: JobQueue) -> None:
        """It is asked at each scrape."""
        self.registry.register(_Queue(queue))

    def scraped(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self.registry)


class _Queue(Collector):
    """Read from Redis. Where that does not answer there is `safelora_queue_up 0`, and no guess."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterable[Metric]:
        up = QUEUE_UP.read()
        try:
            state = queue_state(self._queue)
        except QueueError:
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        jobs, oldest = JOBS.read(), OLDEST.read()
        workers, courier = WORKERS.read(), COURIER_UP.read()
        for name, count in state.jobs.items():
            jobs.add_metric([name], count)
        for name, count in state.workers.items():
            workers.add_metric([name], count)
        oldest.add_metric([], state.oldest_seconds)
        courier.add_metric([], state.courier)
        return [up, jobs, oldest, workers, courier]
