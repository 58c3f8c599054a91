"""A stored alignment of a small pair, and machines that load its modules."""

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import torch

from core.alignments import MANIFEST_FILE, DtypeRule, Manifest, ModuleEntry, alignment_id
from core.canonical import sha256_hex
from core.store import layout
from core.store.base import ObjectStore
from core.store.local import LocalStore
from tests.worker.making import generator, save_checkpoint
from worker.alignment.build import build_alignment
from worker.alignment.make import LoadedModule
from worker.alignment.pair import Pair
from worker.alignment.tiers import DiskTier, ModuleLoader, RamTier, RedisTier, TierCounts, publish

SHAPES = {
    f"model.layers.{layer}.self_attn.{family}.weight": (24, 16)
    for layer in range(2)
    for family in ("q_proj", "k_proj", "v_proj")
}
NO_BOUND = 2**40


class CountingStore(LocalStore):
    """Counts the files asked for, by their names, and takes `seconds` over each."""

    def __init__(self, root: Path, *, seconds: float = 0.0) -> None:
        super().__init__(root)
        self.gets: Counter[str] = Counter()
        self.seconds = seconds

    def open(self, key: str) -> BinaryIO:
        self.gets[key.rpartition("/")[2]] += 1
        time.sleep(self.seconds)
        return super().open(key)


def build_small(folder: Path) -> tuple[Path, Manifest]:
    """The alignment of two random checkpoints, in a folder of its own."""
    random = generator(7)
    base = {name: torch.randn(shape, generator=random) for name, shape in SHAPES.items()}
    aligned = {n: w + 0.1 * torch.randn(w.shape, generator=random) for n, w in base.items()}
    return build(save_checkpoint(folder / "b", base), save_checkpoint(folder / "a", aligned))


def build(
    base: Path, aligned: Path, folder: Path | None = None, *, dtype: DtypeRule = "auto"
) -> tuple[Path, Manifest]:
    made = folder or base.parent / "alignment"
    made.mkdir()
    with Pair(base, aligned) as pair:
        manifest = build_alignment(pair, made, dtype=dtype, rank=4, step=lambda *_: None)
    return made, manifest


@dataclass(frozen=True)
class Machine:
    """One machine's disk; `process` starts a worker process on it, with nothing in RAM."""

    cache: Path
    store: ObjectStore
    redis: RedisTier | None = None
    capacity: int = NO_BOUND
    counts: TierCounts = field(default_factory=TierCounts)

    def files(self, manifest: Manifest) -> DiskTier:
        return DiskTier(
            self.cache, self.store, manifest.id, capacity=self.capacity, redis=self.redis
        )

    def process(self, manifest: Manifest, *, ram: int = NO_BOUND) -> ModuleLoader:
        return ModuleLoader(
            manifest, self.files(manifest), RamTier(ram), torch.device("cpu"), self.counts
        )

    def on_disk(self, manifest: Manifest) -> set[str]:
        return {path.name for path in (self.cache / manifest.id).glob("*")}


def published(built: tuple[Path, Manifest], store: ObjectStore) -> Manifest:
    publish(*built, store, before_each=lambda: None)
    return built[1]


def named_by_sha256(built: tuple[Path, Manifest], folder: Path) -> tuple[Path, Manifest]:
    """The same alignment as older versions named its files."""
    made, manifest = built
    folder.mkdir()

    def renamed(name: str) -> str:
        data = (made / name).read_bytes()
        older = f"{sha256_hex(data)}.safetensors"
        (folder / older).write_bytes(data)
        return older

    modules = [
        entry.model_copy(
            update={
                "shard": renamed(entry.shard),
                "spectrum_shard": renamed(entry.spectrum_shard),
            }
        )
        for entry in manifest.modules
    ]
    own = alignment_id(modules, manifest.rank, manifest.weights)
    older = manifest.model_copy(update={"modules": modules, "id": own})
    (folder / MANIFEST_FILE).write_bytes(older.as_bytes())
    return folder, Manifest.model_validate_json(older.as_bytes())


def load_all(loader: ModuleLoader) -> list[LoadedModule]:
    return [loader.load(entry) for entry in loader.manifest.modules]


def same(one: list[LoadedModule], other: list[LoadedModule]) -> bool:
    """Bit for bit."""
    pairs = [(a.tensors, b.tensors) for a, b in zip(one, other, strict=True)]
    return all(
        torch.equal(getattr(a, name), getattr(b, name))
        for a, b in pairs
        for name in ("v", "u", "z", "sigma")
    )


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def replace(path: Path, data: bytes) -> None:
    """By a new file: one that is mapped stays as it was."""
    path.unlink()
    path.write_bytes(data)


def damage_in_store(store: ObjectStore, manifest: Manifest, entry: ModuleEntry) -> None:
    key = layout.alignment(manifest.id, entry.shard)
    store.put(key, flipped(store.get(key)))
