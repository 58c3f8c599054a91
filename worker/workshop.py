"""What a worker process keeps from job to job: connections, and alignments that stay warm."""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from core.records import Records
from core.settings import Settings
from core.sources import S3Sources
from core.store.base import ObjectStore
from worker.alignment.source import StoredAlignment
from worker.alignment.tiers import DiskTier, ModuleLoader, RamTier, read_manifest


@dataclass(frozen=True)
class Workshop:
    """Built once per process and handed to every task."""

    settings: Settings
    store: ObjectStore
    sources: S3Sources
    device: torch.device
    ram: RamTier = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ram", RamTier(self.settings.alignments.ram_bytes))

    @property
    def records(self) -> Records:
        return Records(self.store)

    @property
    def scratch(self) -> Path:
        """Where jobs keep their files while they run; made at first use."""
        self.settings.scratch.mkdir(parents=True, exist_ok=True)
        return self.settings.scratch

    def alignment(self, alignment_id: str, name: str) -> StoredAlignment:
        """The stored alignment, its modules loaded through this process's tiers."""
        files = DiskTier(self.settings.alignments.cache, self.store, alignment_id)
        manifest = read_manifest(files)
        loader = ModuleLoader(manifest, files, self.ram, self.device)
        return StoredAlignment(manifest, loader, name=name)


def choose_device(wanted: str) -> torch.device:
    """`auto`: the GPU if there is one."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)
