"""A worker's surroundings for tests: a store, a queue on a real Valkey, and jobs put on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from redis import Redis

from core.alignments import AlignmentRecord
from core.canonical import sha256_hex
from core.jobs import AlignmentRef, InputFile, JobRequest, JobResult, new_job_id, now
from core.policy import Policy
from core.queue import JobQueue
from core.records import Records
from core.settings import AlignmentSettings, QueueSettings, Settings
from core.sources import S3Sources
from core.store import layout
from core.store.base import ObjectStore
from core.store.settings import StoreSettings
from tests.worker.making import GOLDEN
from worker.gpu import GateWorker
from worker.interrupts import Interrupts
from worker.tasks import Tasks
from worker.workshop import Workshop

TENANT = "acme"


@dataclass(frozen=True)
class Service:
    """The worker's side of the service; `work` empties the queue in this process."""

    store: ObjectStore
    records: Records
    queue: JobQueue
    tasks: Tasks
    redis: Redis

    def worker(self) -> GateWorker:
        return GateWorker(self.queue, self.tasks, connection=self.redis)

    def work(self) -> None:
        self.worker().work(burst=True, logging_level="WARNING")

    def accept_pair(self, name: str = "tiny", **fields: Any) -> AlignmentRecord:
        """Store the registration of a pair (the golden one unless told otherwise)."""
        record = AlignmentRecord(
            name=name,
            state="building",
            created_at=now(),
            **{
                "base": str(GOLDEN / "base"),
                "aligned": str(GOLDEN / "aligned"),
                "base_names": ["golden/tiny-llama-chat"],
                **fields,
            },
        )
        self.records.save_alignment(record, if_absent=True)
        return record

    def register(self, name: str = "tiny", **fields: Any) -> AlignmentRecord:
        """Register a pair and build it."""
        self.accept_pair(name, **fields)
        self.queue.submit_build(name)
        self.work()
        built = self.records.alignment(name)
        assert built is not None
        return built

    def accept(
        self,
        record: AlignmentRecord,
        files: Mapping[str, bytes] | None = None,
        policy: Policy | None = None,
        *,
        enqueue: bool = True,
        **fields: Any,
    ) -> JobRequest:
        """Store a job (the golden adapter unless told otherwise) as the API would, and queue it."""
        job_id = new_job_id()
        stored = []
        for name, data in (files or golden_files()).items():
            key = layout.job_input(TENANT, job_id, name)
            self.store.put(key, data)
            stored.append(InputFile(name=name, size=len(data), sha256=sha256_hex(data), key=key))
        assert record.id is not None
        request = JobRequest(
            id=job_id,
            tenant=TENANT,
            created_at=now(),
            alignment=AlignmentRef(name=record.name, id=record.id, base_names=record.base_names),
            policy=policy or Policy(),
            files=stored,
            **fields,
        )
        self.records.announce(TENANT, job_id)
        self.records.accept(request)
        if enqueue:
            self.queue.submit_job(request)
        return request

    def result(self, request: JobRequest) -> JobResult | None:
        return self.records.result(request.tenant, request.id)

    def run(
        self,
        record: AlignmentRecord,
        files: Mapping[str, bytes] | None = None,
        policy: Policy | None = None,
        **fields: Any,
    ) -> JobResult:
        """Accept, work, and return how it ended."""
        request = self.accept(record, files, policy, **fields)
        self.work()
        result = self.result(request)
        assert result is not None
        return result


def golden_files() -> dict[str, bytes]:
    folder = GOLDEN / "adapter"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def make_service(
    store: ObjectStore, kind: StoreSettings, redis: Redis, folder: Path, **changed: Any
) -> Service:
    settings = Settings(
        store=kind,
        queue=QueueSettings(name="test", lease=5, retry_pause=0.0),
        alignments=AlignmentSettings(roots=[GOLDEN, folder], cache=folder / "alignments"),
        scratch=folder / "scratch",
        **changed,
    )
    queue = JobQueue(redis, settings.queue)
    workshop = Workshop(
        settings=settings, store=store, sources=S3Sources(settings), device=torch.device("cpu")
    )
    return Service(
        store=store,
        records=Records(store),
        queue=queue,
        tasks=Tasks(workshop, queue, Interrupts()),
        redis=redis,
    )
