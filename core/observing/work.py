"""What a worker tells of itself. One process has one."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from core.jobs import JobRequest, JobResult, created_ms
from core.observing.family import Counted, Family, Gauged, Spread, begin
from core.observing.process import new_registry
from core.observing.sweeping import DEATHS
from core.settings import Settings

ENDED: Final = Counted(
    "safelora_jobs_ended_total",
    "jobs that this worker brought to an end; verdict is `none` for those that have none",
    ("state", "verdict", "alignment"),
)
FAILURES: Final = Counted(
    "safelora_job_failures_total",
    "of those the ones that failed, by their code in errors.md",
    ("code",),
)
SECONDS: Final = Spread(
    "safelora_job_duration_seconds", "from a worker's first step to the end", ("state",)
)
WAITED: Final = Spread(
    "safelora_job_wait_seconds",
    "from a job's POST until a worker had it in hand, at the attempt that ended it",
)
STAGES: Final = Spread(
    "safelora_job_stage_duration_seconds", "the job's own timings, by stage", ("stage",)
)
PUT_BACK: Final = Counted(
    "safelora_jobs_put_back_total",
    "jobs that went back to the queue: `failed` costs an attempt; `drained` (the worker was told to"
    " stop) and `store_away` cost none",
    ("reason",),
)
BUILDS: Final = Counted(
    "safelora_alignment_builds_ended_total",
    "builds of alignments that this worker brought to an end",
    ("state",),
)
MODULES: Final = Counted("safelora_modules_judged_total", "modules of jobs that were judged")
BESIDE: Final = Spread(
    "safelora_job_company",
    "other jobs that were judged in a job's pass over the alignment, where that is worth sharing",
    bounds=(0.0, 1.0, 2.0, 4.0, 8.0, 16.0),
)

V_BYTES: Final = Counted(
    "safelora_alignment_read_bytes_total", "bytes of alignments read, by tier", ("tier",)
)
V_MODULES: Final = Counted(
    "safelora_alignment_read_modules_total",
    "modules of alignments read, each by the farthest tier that a file of it came from",
    ("tier",),
)
TIER_USED: Final = Gauged(
    "safelora_tier_used_bytes",
    "what a tier holds: `ram` in this process (on the GPU, if it has one), `disk` on this machine",
    ("tier",),
)
TIER_SIZE: Final = Gauged("safelora_tier_capacity_bytes", "what a tier may hold", ("tier",))
DEVICE: Final = Gauged(
    "safelora_device_memory_bytes",
    "memory of the GPU: `free` to all, `total`, and `reserved` by this process; none on a CPU",
    ("kind",),
)

COUNTED: Final[tuple[Family, ...]] = (
    *(ENDED, FAILURES, SECONDS, WAITED, STAGES, PUT_BACK, DEATHS, BUILDS, MODULES, BESIDE),
)
READ: Final[tuple[Family, ...]] = (V_BYTES, V_MODULES, TIER_USED, TIER_SIZE, DEVICE)
FAMILIES: Final[tuple[Family, ...]] = (*COUNTED, *READ)

ReadTiers = Callable[[], Iterable[Metric]]


class WorkerMetrics:
    """Safe to share between threads."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Without settings no disk is looked at."""
        places = {}
        if settings is not None:
            places = {"scratch": settings.scratch, "alignments": settings.alignments.cache}
        self.registry = new_registry("worker", settings, places)
        self._ended = ENDED.made(self.registry)
        self._failures = FAILURES.made(self.registry)
        self._seconds = SECONDS.made(self.registry)
        self._waited = WAITED.made(self.registry)
        self._stages = STAGES.made(self.registry)
        self.put_back = PUT_BACK.made(self.registry)
        begin(self.put_back, ("failed",), ("drained",), ("store_away",))
        self.deaths = DEATHS.made(self.registry)
        self.builds = BUILDS.made(self.registry)
        self.modules = MODULES.made(self.registry)
        self.beside = BESIDE.made(self.registry)

    def read_at_scrape(self, read: ReadTiers) -> None:
        """What `READ` names, as it is just then."""
        self.registry.register(_Read(read))

    def ended(self, request: JobRequest, result: JobResult, begun: float, seconds: float) -> None:
        """`begun` by `time.time`."""
        verdict = "none" if result.commit is None else result.commit.verdict
        self._ended.labels(result.state, verdict, request.alignment.name).inc()
        self._seconds.labels(result.state).observe(seconds)
        self._waited.observe(max(0.0, begun - created_ms(request.id) / 1000))
        for stage, spent in result.timings.items():
            if stage != "total":
                self._stages.labels(stage).observe(spent)
        if result.error is not None:
            self._failures.labels(result.error.code).inc()


class _Read(Collector):
    def __init__(self, read: ReadTiers) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        return self._read()
