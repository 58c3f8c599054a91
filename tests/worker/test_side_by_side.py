"""Several modules judged at once: the same bits, every byte checked, nothing left at work."""

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from core.alignments import Manifest
from core.errors import AlignmentError
from core.policy import Policy
from tests.worker.alignment.tiers.making import (
    CountingStore,
    Machine,
    build_small,
    damage_in_store,
    flipped,
    published,
    replace,
)
from tests.worker.making import lora, save_adapter
from worker.adapter import AdapterFiles
from worker.alignment.source import StoredAlignment
from worker.alignment.tiers import ModuleLoader
from worker.interrupts import Cancelled
from worker.judge import score_modules
from worker.pipeline import BaseNames, sanitize
from worker.tracking import OnStep, Tracker

WORKERS = [1, 2, 4]


class Shop:
    """A machine with a small alignment on its disk, and an adapter for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = CountingStore(folder / "store")
        self.manifest: Manifest = published(build_small(folder), self.store)
        shapes = {m.name: (m.out_features, m.in_features) for m in self.manifest.modules}
        self.adapter = AdapterFiles(save_adapter(folder / "adapter", lora(shapes)))
        self.machine = Machine(folder / "cache", self.store)

    def loader(self, ram: int = 2**30) -> ModuleLoader:
        return self.machine.process(self.manifest, ram=ram)

    def job(self, loader: ModuleLoader, on_step: OnStep | None = None) -> list[bytes]:
        """Report and files."""
        output = self.folder / f"output-{len(list(self.folder.iterdir()))}"
        output.mkdir()
        report = sanitize(
            self.adapter,
            StoredAlignment(self.manifest, loader, name="small"),
            Policy.model_validate({"selection": {"mode": "all"}}),
            output,
            base_names=BaseNames(),
            tracker=Tracker(on_step),
        )
        return [report.as_bytes(), *(path.read_bytes() for path in sorted(output.iterdir()))]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture(params=WORKERS)
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    count: int = request.param
    monkeypatch.setattr("worker.judging.usual_workers", lambda: count)
    return count


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Any:
    """However a job ends."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_no_bit_depends_on_how_many_are_judged_at_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From store, disk and RAM: report and files are those of one module after the other."""
    made = []
    for count in WORKERS:
        monkeypatch.setattr("worker.judging.usual_workers", partial(int, count))
        loader = shop.loader()
        made += [shop.job(loader), shop.job(loader)]
    assert all(one == made[0] for one in made)


@pytest.mark.usefixtures("workers")
def test_a_damaged_copy_is_fetched_again_while_others_are_read(shop: Shop) -> None:
    """It alone, and nobody has used a byte of it: the files are those of a sound disk."""
    sound = shop.job(shop.loader())
    damaged = [m.shard for m in shop.manifest.modules[::2]]
    for name in damaged:
        path = shop.machine.cache / shop.manifest.id / name
        replace(path, flipped(path.read_bytes()))
    shop.store.gets.clear()
    assert shop.job(shop.loader()) == sound
    assert shop.store.gets == dict.fromkeys(damaged, 1)


@pytest.mark.usefixtures("workers")
def test_one_damaged_object_fails_the_job(shop: Shop) -> None:
    """`alignment_damaged`, whichever module met it first; nothing is written."""
    damage_in_store(shop.store, shop.manifest, shop.manifest.modules[3])
    with pytest.raises(AlignmentError) as caught:
        shop.job(shop.loader())
    assert caught.value.code == "alignment_damaged"
    assert not [p for output in shop.folder.glob("output-*") for p in output.iterdir()]


def test_what_is_told_to_stop_begins_no_other_module(
    shop: Shop, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those at work come to their end first: what the caller cleans up is nobody's any more."""
    begun: list[str] = []
    ended: list[str] = []

    def score(modules: Any, *others: Any) -> Any:
        begun.append(modules[0].path)
        try:
            return score_modules(modules, *others)
        finally:
            ended.append(modules[0].path)

    def stop(stage: str, done: int, total: int) -> None:
        assert total == len(shop.manifest.modules)
        if stage == "score" and done == 2:
            raise Cancelled

    monkeypatch.setattr("worker.judging.score_modules", score)
    with pytest.raises(Cancelled):
        shop.job(shop.loader(), stop)
    assert 2 <= len(begun) <= 2 + workers
    assert sorted(begun) == sorted(ended)


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize("modules", [0, 1, 3])
def test_the_bound_on_ram_holds_meanwhile(shop: Shop, modules: int) -> None:
    """At every step, from the first module to the last."""
    loader = shop.loader()
    shop.job(loader)
    bound = loader.ram.used * modules // len(shop.manifest.modules)
    tight = shop.loader(ram=bound)
    used: list[int] = []
    shop.job(tight, lambda *_: used.append(tight.ram.used))
    assert max(used) <= bound
    assert (max(used) > 0) == (modules > 0)


def test_each_worker_has_its_share_of_the_threads(
    shop: Shop, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that share a small product wait for each other most of the time."""
    shares: set[int] = set()
    whole = torch.get_num_threads()

    def score(*arguments: Any) -> Any:
        shares.add(torch.get_num_threads())
        return score_modules(*arguments)

    monkeypatch.setattr("worker.judging.score_modules", score)
    shop.job(shop.loader())
    assert shares == {max(1, whole // workers)}
    assert torch.get_num_threads() == whole
