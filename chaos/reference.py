"""The undisturbed run: what each input must come to, by the product's own `run_job`."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Self

import torch

from chaos.adapters import Adapter, make
from core.canonical import sha256_hex
from core.floor import below_floor
from core.jobs import AlignmentRef, Commit, InputFile, JobRequest, JobState, new_job_id, now
from core.policy import Policy
from core.records import Records
from core.report import FileFacts
from core.settings import AlignmentSettings, Settings
from core.sources import S3Sources
from core.store import layout
from core.store.base import ObjectStore
from core.store.local import LocalStore
from core.store.settings import S3Settings, StoreSettings
from worker.job import run_job
from worker.tracking import Tracker
from worker.workshop import Workshop

TENANT = "default"
_ON_S3 = StoreSettings(kind="s3", s3=S3Settings(bucket="never-asked"))


@dataclass(frozen=True)
class Expected:
    """How a job of one input ends, and the commit of its recipe, which holds every file's SHA-256.

    A store on S3 keeps `adapter.zip` besides what a folder keeps; the rest is the same in both.
    """

    state: JobState
    commit: Commit

    def sha256(self, name: str) -> str | None:
        file: FileFacts | None = self.commit.file(name)
        return None if file is None else file.sha256


class References:
    """The expected end of every input, run when it is first asked for. Safe to share.

    The jobs run in a folder of their own, as on S3 where `on_s3`, with the alignment's files as
    they lie in the service's store: of that nothing is written, and nothing else is read.
    """

    def __init__(
        self,
        service: ObjectStore,
        alignment: AlignmentRef,
        default: Policy,
        floor: Policy,
        *,
        on_s3: bool = True,
    ) -> None:
        self._folder = TemporaryDirectory(prefix="chaos-reference-")
        place = Path(self._folder.name)
        store = LocalStore(place / "store")
        _copy(service, store, place / "copied", alignment.id)
        settings = Settings(
            store=_ON_S3 if on_s3 else StoreSettings(path=place / "store"),
            alignments=AlignmentSettings(cache=place / "cache"),
            scratch=place / "scratch",
        )
        self.alignment = alignment
        self.default = default
        self.floor = floor
        self._place = place
        self._workshop = Workshop(
            settings=settings, store=store, sources=S3Sources(settings), device=torch.device("cpu")
        )
        self._known: dict[int, Expected] = {}
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def of(self, number: int) -> Expected:
        """What the input of this number comes to."""
        with self._lock:
            if number not in self._known:
                self._known[number] = self._run(make(number))
            return self._known[number]

    def _run(self, adapter: Adapter) -> Expected:
        request = self._request(adapter)
        with TemporaryDirectory(dir=self._place) as folder:
            commit = run_job(request, self._workshop, Tracker(), Path(folder))
        return Expected(JobState(commit.state), commit.of_no_job)

    def _request(self, adapter: Adapter) -> JobRequest:
        job_id = new_job_id()
        files = []
        for name, data in sorted(adapter.files.items()):
            key = layout.job_input(TENANT, job_id, name)
            self._workshop.store.put(key, data)
            files.append(InputFile(name=name, size=len(data), sha256=sha256_hex(data), key=key))
        policy = adapter.policy or self.default
        return JobRequest(
            id=job_id,
            tenant=TENANT,
            created_at=now(),
            alignment=self.alignment,
            policy=policy,
            below_floor=below_floor(policy, self.floor),
            files=files,
            other_names=sorted(adapter.other_names),
        )


def open_references(service: ObjectStore, name: str, *, on_s3: bool = True) -> References:
    """The references for jobs under this name, which must be ready."""
    record = Records(service).alignment(name)
    if record is None or record.id is None:
        raise ValueError(f"the alignment {name} is not ready: register the pair first")
    alignment = AlignmentRef(name=record.name, id=record.id, base_names=record.base_names)
    default, floor = record.default_policy, record.effective_floor
    return References(service, alignment, default, floor, on_s3=on_s3)


def _copy(service: ObjectStore, store: ObjectStore, path: Path, alignment_id: str) -> None:
    prefix = layout.alignment(alignment_id, "")
    for key in service.list(prefix):
        service.get_file(key, path)
        store.put_file(key, path)
