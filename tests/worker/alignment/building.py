"""Builds of a small pair that can be held and killed; `python -m` runs one as its own process."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch

from core.alignments import MANIFEST_FILE, AlignmentRecord, Manifest
from core.jobs import now
from core.records import Records
from core.store.local import LocalStore
from tests.worker.making import generator, save_checkpoint
from worker.alignment import build
from worker.alignment.build import Step
from worker.alignment.checkpoint_files import FolderFiles
from worker.alignment.registration import register

MODULES = [f"model.layers.{n}.self_attn.q_proj" for n in range(5)]
START_SECONDS = 60


def nothing(*_: int) -> None:
    """A step that lets the build go on."""


def folder_at(path: str) -> FolderFiles:
    return FolderFiles(Path(path))


@dataclass(frozen=True)
class Site:
    """A store, a cache, and checkpoints, all in one folder."""

    folder: Path

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def records(self) -> Records:
        return Records(LocalStore(self.folder / "store"))

    @property
    def half_built(self) -> list[Path]:
        return sorted(self.cache.glob(".building-*"))

    def pair(self, name: str = "pair", *, seed: int = 1) -> tuple[Path, Path]:
        """Base and aligned model under `name`."""
        random = generator(seed)
        base = {f"{m}.weight": torch.randn(12, 10, generator=random) for m in MODULES}
        moved = {k: w + 0.1 * torch.randn(w.shape, generator=random) for k, w in base.items()}
        root = self.folder / name
        return save_checkpoint(root / "base", base), save_checkpoint(root / "aligned", moved)

    def record(self, pair: tuple[Path, Path], name: str = "tiny") -> AlignmentRecord:
        """The registration of a pair, as the API would leave it."""
        base, aligned = map(str, pair)
        record = AlignmentRecord(
            name=name, state="building", base=base, aligned=aligned, created_at=now()
        )
        self.records.save_alignment(record)
        return record

    def build(self, record: AlignmentRecord, step: Step = nothing) -> AlignmentRecord:
        """Build in this process, to the end unless `step` raises.

        One module at a time, so that it can be said which are done.
        """
        with mock.patch.object(build, "usual_workers", return_value=1):
            built = register(record, self.records, folder_at, self.cache, step=step)
        assert built is not None
        return built

    def manifest(self, record: AlignmentRecord) -> Manifest:
        assert record.id is not None
        data = (self.cache / record.id / MANIFEST_FILE).read_bytes()
        return Manifest.model_validate_json(data)

    @contextmanager
    def process(self, name: str, hold: int) -> Iterator[subprocess.Popen[str]]:
        """A process that builds the record and stands still after `hold` modules."""
        command = [sys.executable, "-m", __name__, str(self.folder), name, str(hold)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def wait_for(process: subprocess.Popen[str], said: str) -> None:
    """Until the process has said so."""
    assert process.stdout is not None
    deadline = time.monotonic() + START_SECONDS
    for line in process.stdout:
        assert time.monotonic() < deadline
        if line.strip() == said:
            return
    raise AssertionError(f"the process ended and never said {said!r}")


def wait_until(true: Callable[[], bool]) -> None:
    """What a process has begun in a thread is done a little later."""
    deadline = time.monotonic() + START_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def main(folder: str, name: str, hold: str) -> None:
    site = Site(Path(folder))
    record = site.records.alignment(name)
    assert record is not None

    def step(done: int, total: int) -> None:
        sys.stdout.write(f"{done} of {total}\n")
        sys.stdout.flush()
        if done == int(hold) and total:
            time.sleep(600)

    sys.stdout.write(f"built {site.build(record, step).id}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
