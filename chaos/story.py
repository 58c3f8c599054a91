"""The story of one run: start everything, post and break, wait until it is quiet, and audit."""

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import httpx2
import torch

from chaos.adapters import BASE_NAME, GOLDEN
from chaos.audit import Auditor, Outcome, leftovers, open_uploads
from chaos.faults import Fault, Freeze, Wipe, choose
from chaos.ledger import Ledger
from chaos.load import Posters, Watcher
from chaos.processes import Stack
from chaos.recovery import Recovered, Recovery
from chaos.reference import TENANT, open_references
from chaos.sabotage import entry
from core.records import Records
from core.settings import RetentionSettings
from core.store.base import ObjectStore
from core.store.s3 import S3Store
from worker.expiry import expire

ALIGNMENT = "tiny"
PAUSE = 0.01  # seconds by which the store is slow: a job takes about one then, and faults hit it
BUSY = 4  # jobs under way when a fault begins
QUIET_SECONDS = 90.0
PROBE_SECONDS = 30.0
BUILD_SECONDS = 120.0

_BRISK = {
    "SAFELORA_QUEUE__LEASE": "5",
    "SAFELORA_QUEUE__SWEEP_EVERY": "1",
    "SAFELORA_QUEUE__RECONCILE_EVERY": "2",
    "SAFELORA_QUEUE__RETRY_PAUSE": "1",
}
_FIRST: Mapping[str, Sequence[Fault]] = {
    "skip_reconcile": (Wipe(), Wipe(), Wipe()),
    "unconditional_commit": (Freeze("worker"), Wipe(), Freeze("worker"), Wipe()),
}
"""The faults without which a sabotage does no harm: the first of its run."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """`brisk`: the service gives up silent workers in seconds, and repairs itself as often."""

    rounds: int
    jobs_per_round: int
    seed: int
    sabotage: str | None = None
    brisk: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """A job whose workers are killed is not at fault, so none is ever set aside for that."""
        settings = {
            "SAFELORA_ALIGNMENTS__ROOTS": json.dumps([str(GOLDEN)]),
            "SAFELORA_QUEUE__DEATHS": "1000",
        }
        return settings | _BRISK if self.brisk or self.sabotage else settings

    @property
    def quiet_seconds(self) -> float:
        return QUIET_SECONDS / 3 if self.brisk or self.sabotage else QUIET_SECONDS

    def faults(self) -> list[Fault]:
        """One for each round, by the seed alone."""
        random = Random(self.seed)
        first = _FIRST.get(self.sabotage or "", ())[: self.rounds]
        return [*first, *(choose(random) for _ in range(self.rounds - len(first)))]


@dataclass(frozen=True)
class Story:
    """What happened."""

    outcome: Outcome
    faults: Mapping[str, int]
    recovered: Sequence[Recovered]


@dataclass(frozen=True)
class Callers:
    """Those who use the service, and what they remember."""

    ledger: Ledger
    posters: Posters
    watcher: Watcher

    def probe(self) -> bool:
        """Post a job and see it end."""
        job_id = self.posters.post_new()
        return job_id is not None and self.watcher.wait_for(job_id, PROBE_SECONDS)


def run(plan: Plan, folder: Path) -> Story:
    """The whole run; everything the service writes lies in `folder`."""
    torch.set_num_threads(1)  # as the workers, for the references
    random = Random(plan.seed)
    sabotaged = entry(plan.sabotage) if plan.sabotage else None
    with (
        Stack(folder, environment=plan.environment, entry=sabotaged, pause=PAUSE) as stack,
        closing(S3Store(stack.store)) as store,
    ):
        _register(stack.apis[0])
        with open_references(store, ALIGNMENT) as references:
            ledger = Ledger()
            callers = Callers(
                ledger,
                Posters(ledger, stack.apis, ALIGNMENT, Random(random.random())),
                Watcher(ledger, stack.apis, references, Random(random.random())),
            )
            with _at_work(callers):
                faults, recovered = _break(stack, callers, plan, random)
                _wait(callers, store, plan)
            _expire_abandoned(store)
            complaints = Auditor(ledger, references, store, TENANT).complaints()
        complaints += open_uploads(stack.store)
    complaints += leftovers(folder.glob("*/scratch"), folder.glob("*/alignments"))
    outcome = Outcome(plan.rounds, len(ledger.jobs), faults.total(), complaints)
    return Story(outcome, faults, recovered)


def _register(url: str) -> None:
    """The golden pair, ready."""
    body = {
        "name": ALIGNMENT,
        "base": str(GOLDEN / "base"),
        "aligned": str(GOLDEN / "aligned"),
        "base_names": [BASE_NAME],
    }
    with httpx2.Client(base_url=url, trust_env=False, timeout=30.0) as client:
        client.post("/v1/alignments", json=body).raise_for_status()
        _until(
            lambda: client.get(f"/v1/alignments/{ALIGNMENT}").json()["state"] != "building",
            BUILD_SECONDS,
        )


@contextmanager
def _at_work(callers: Callers) -> Iterator[None]:
    callers.posters.start()
    callers.watcher.start()
    try:
        yield
    finally:
        try:
            callers.posters.finish(0.0)
        finally:
            callers.watcher.stop()


def _break(
    stack: Stack, callers: Callers, plan: Plan, random: Random
) -> tuple[Counter[str], list[Recovered]]:
    """A fault a round, each while jobs run, and how long the service then took to be back.

    That is what a job takes that is posted when the fault is over, its wait for others included.
    """
    faults: Counter[str] = Counter()
    recovery = Recovery(callers.probe)
    callers.posters.allow(plan.jobs_per_round)
    _until(lambda: len(callers.ledger.unfinished()) >= BUSY, 5.0)
    recovery.measure("none")
    for number, fault in enumerate(plan.faults(), start=1):
        callers.posters.allow(plan.jobs_per_round)
        _until(lambda: len(callers.ledger.unfinished()) >= BUSY, 5.0)
        time.sleep(random.uniform(0.0, 1.0))
        told = fault.inject(stack, random)
        faults[fault.name] += 1
        seconds = recovery.measure(fault.name)
        jobs = len(callers.ledger.jobs)
        _log.info("round %d: %s; back after %.1f s; %d jobs so far", number, told, seconds, jobs)
    return faults, recovery.summary()


def _wait(callers: Callers, store: ObjectStore, plan: Plan) -> None:
    """Until everything that was posted is answered and has ended, and no mark says otherwise."""
    callers.posters.finish(plan.quiet_seconds)
    quiet = callers.watcher.wait_until_quiet(plan.quiet_seconds)
    if quiet:
        quiet = _until(lambda: not _any_accepted(Records(store)), plan.quiet_seconds)
    seen = callers.ledger
    _log.info("all is quiet" if quiet else "still not quiet")
    _log.info("%d documents and %d files were looked at", seen.documents, seen.files)


def _any_accepted(records: Records) -> bool:
    """Whether a job that was accepted is marked as pending; uploads that an API took to its grave
    are marked too, until they expire."""
    return any(records.request(tenant, job_id) is not None for tenant, job_id in records.pending())


def _expire_abandoned(store: ObjectStore) -> None:
    """What nobody will finish goes as the courier would have it go a day later; nothing else."""
    retention = RetentionSettings(inputs=None, idempotency=None)
    later = datetime.now(UTC) + timedelta(hours=retention.abandoned + 1)
    counts = expire(store, retention, later)
    _log.info("%d uploads were abandoned, and expired", counts.uploads)


def _until(is_so: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
