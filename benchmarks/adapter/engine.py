"""The engine as a worker's process runs it, with an alignment that lies in one tier or another."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch

from core.alignments import Manifest
from core.policy import Policy
from core.store.base import ObjectStore
from worker.adapter import AdapterFiles
from worker.alignment.source import StoredAlignment
from worker.alignment.tiers import DiskTier, ModuleLoader, RamTier, RedisTier
from worker.pipeline import BaseNames, sanitize
from worker.tracking import Tracker

NO_BOUND = 2**40
POLICY = Policy.model_validate({"selection": {"mode": "all"}})  # every module is changed: most work


@dataclass
class Engine:
    """`folder`: where the alignment's files lie, or are fetched to; `stages`: seconds of the last
    run by stage."""

    manifest: Manifest
    adapter: Path
    cache: Path
    store: ObjectStore
    ram: int = 0
    redis: RedisTier | None = None
    stages: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ram = RamTier(self.ram)

    @property
    def folder(self) -> Path:
        return self.cache / self.manifest.id

    @property
    def files(self) -> list[Path]:
        return [self.folder / name for name in self.manifest.files]

    @property
    def gigabytes(self) -> float:
        return sum(path.stat().st_size for path in self.files) / 1e9

    @property
    def v_bytes(self) -> int:
        """In 16 bits."""
        return sum(2 * m.out_features * m.in_features for m in self.manifest.modules)

    def run(self) -> None:
        """Sanitize the adapter once; what is published is thrown away."""
        files = DiskTier(
            self.cache, self.store, self.manifest.id, capacity=NO_BOUND, redis=self.redis
        )
        loader = ModuleLoader(self.manifest, files, self._ram, torch.device("cpu"))
        tracker = Tracker()
        with tempfile.TemporaryDirectory(dir=self.adapter.parent) as output:
            sanitize(
                AdapterFiles(self.adapter),
                StoredAlignment(self.manifest, loader, name=None),
                POLICY,
                Path(output),
                base_names=BaseNames(),
                tracker=tracker,
            )
        self.stages = tracker.finish()

    def empty_disk(self) -> None:
        """As on a machine that has not seen this alignment."""
        shutil.rmtree(self.cache, ignore_errors=True)
