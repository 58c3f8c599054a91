"""What a worker process keeps from job to job: connections, and alignments that stay warm."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from core.heartbeat import Heartbeat
from core.observing.work import WorkerMetrics
from core.records import Records
from core.scratch import Scratch
from core.settings import AlignmentSettings, Settings, SettingsInvalid
from core.sources import S3Sources
from core.store.base import ObjectStore
from worker.alignment.checkpoint_files import CheckpointFiles, open_files
from worker.alignment.source import StoredAlignment
from worker.alignment.tiers import (
    DiskTier,
    ModuleLoader,
    RamTier,
    RedisTier,
    TierCounts,
    make_room,
    read_manifest,
    remove_unfinished,
)
from worker.metrics import tier_reader

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workshop:
    """Built once per process and handed to every task. `counts`: what its tiers served so far."""

    settings: Settings
    store: ObjectStore
    sources: S3Sources
    device: torch.device
    ram: RamTier = field(init=False)
    redis: RedisTier | None = field(init=False)
    scratch: Scratch = field(init=False)
    counts: TierCounts = field(init=False, default_factory=TierCounts)
    heartbeat: Heartbeat = field(init=False)
    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)

    def __post_init__(self) -> None:
        alignments = self.settings.alignments
        object.__setattr__(self, "ram", RamTier(alignments.ram_bytes))
        object.__setattr__(self, "redis", _redis_tier(alignments))
        object.__setattr__(self, "scratch", Scratch(self.settings.scratch))
        object.__setattr__(self, "heartbeat", Heartbeat(self.settings.heartbeat))
        self.metrics.read_at_scrape(tier_reader(self.counts, self.ram, alignments, self.device))

    @property
    def records(self) -> Records:
        return Records(self.store)

    def tidy(self) -> None:
        """Remove what killed processes left on this machine's disk, and what is too much. Raises
        `OSError`."""
        self.scratch.sweep()
        remove_unfinished(self.settings.alignments.cache)
        self.make_room()

    def make_room(self) -> None:
        """Keep the disk tier within its bound: after a build, which leaves its files there."""
        alignments = self.settings.alignments
        make_room(alignments.cache, alignments.disk_bytes)

    def checkpoint_files(self, place: str) -> CheckpointFiles:
        """What a registered pair's `base` or `aligned` names; see `open_files`."""
        return open_files(place, self.settings.alignments, self.settings.store)

    @contextmanager
    def alignment(self, alignment_id: str, name: str) -> Iterator[StoredAlignment]:
        """The stored alignment, its modules loaded through this process's tiers.

        Which tiers served them is logged at the end.
        """
        alignments = self.settings.alignments
        files = DiskTier(
            alignments.cache,
            self.store,
            alignment_id,
            capacity=alignments.disk_bytes,
            redis=self.redis,
        )
        manifest = read_manifest(files)
        counts = TierCounts(self.counts)
        loader = ModuleLoader(manifest, files, self.ram, self.device, counts)
        try:
            yield StoredAlignment(manifest, loader, name=name)
        finally:
            if counts.modules:
                _log.info("alignment %s: %s", alignment_id, counts)


def choose_device(wanted: str) -> torch.device:
    """`auto`: the GPU if there is one. Raises `SettingsInvalid` for one that is not there, at which
    each job would fail."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        why = str(error).partition("\n")[0]
        raise SettingsInvalid(f"SAFELORA_WORKER__DEVICE: {wanted} cannot be used: {why}") from error
    return device


def _redis_tier(settings: AlignmentSettings) -> RedisTier | None:
    url = settings.redis_url
    return None if url is None else RedisTier(url.get_secret_value())
