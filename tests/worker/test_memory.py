"""A device that runs out of memory: warm modules make way, and only then a job fails."""

import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from core.alignments import AlignmentRecord
from core.errors import AlignmentError
from core.jobs import JobState
from core.policy import Policy
from core.settings import AlignmentSettings, Settings
from core.sources import S3Sources
from core.store.local import LocalStore
from tests.worker.alignment.tiers.making import build_small, published
from tests.worker.desk import DONE, FAILED, Desk, build, make_desk
from tests.worker.making import lora, save_adapter
from tests.worker.service import Service
from worker.adapter import AdapterFiles, LoraModule
from worker.alignment.tiers import ModuleLoader, RamTier
from worker.judge import score_modules
from worker.memory import DeviceOutOfMemory, Turns, with_room
from worker.pipeline import BaseNames, sanitize
from worker.tracking import Tracker
from worker.workshop import Workshop

Fault = Callable[[], None]
FROM = 4  # the module, of six, at which memory runs out


def on_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


def on_a_cpu() -> None:
    """For real: nobody has a pebibyte."""
    torch.empty(2**50, dtype=torch.uint8)


def by_cublas() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


class Short:
    """Wraps a function, of which `times` calls from the `start`th on fail."""

    def __init__(self, inner: Callable[..., Any], fault: Fault, times: int, start: int) -> None:
        self.inner = inner
        self.fault = fault
        self.calls = range(start, start + times)
        self.called = 0

    def __call__(self, *arguments: Any) -> Any:
        self.called += 1
        if self.called - 1 in self.calls:
            self.fault()
        return self.inner(*arguments)


class Bench:
    """A worker with a small alignment, and jobs for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        store = LocalStore(folder / "store")
        self.manifest = published(build_small(folder), store)
        shapes = {m.name: (m.out_features, m.in_features) for m in self.manifest.modules}
        self.adapter = AdapterFiles(save_adapter(folder / "adapter", lora(shapes)))
        settings = Settings(alignments=AlignmentSettings(cache=folder / "cache"))
        self.workshop = Workshop(
            settings=settings, store=store, sources=S3Sources(settings), device=torch.device("cpu")
        )

    def job(self) -> list[bytes]:
        """Report and files."""
        output = self.folder / f"output-{len(list(self.folder.iterdir()))}"
        output.mkdir()
        with self.workshop.alignment(self.manifest.id, "small") as alignment:
            report = sanitize(
                self.adapter,
                alignment,
                Policy(),
                output,
                base_names=BaseNames(),
                tracker=Tracker(),
            )
        return [report.as_bytes(), *(path.read_bytes() for path in sorted(output.iterdir()))]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that attempts can be counted."""
    at_once(monkeypatch, 1)


def at_once(patch: pytest.MonkeyPatch, workers: int) -> None:
    patch.setattr("worker.judging.usual_workers", lambda: workers)
    patch.setattr("worker.judging.WORTH_THREADS", 0)


def score_short(patch: pytest.MonkeyPatch, fault: Fault, times: int, start: int = FROM) -> Short:
    """Memory runs out while a module is judged."""
    short = Short(score_modules, fault, times, start)
    patch.setattr("worker.judging.score_modules", short)
    return short


def load_short(patch: pytest.MonkeyPatch, fault: Fault, times: int, start: int = FROM) -> None:
    """Memory runs out while a module goes onto the device."""
    short = Short(ModuleLoader.load, fault, times, start)
    patch.setattr(ModuleLoader, "load", lambda *arguments: short(*arguments))


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("fault", [on_a_gpu, on_a_cpu, by_cublas])
@pytest.mark.parametrize("shorten", [score_short, load_short])
def test_a_module_that_found_no_room_is_judged_again(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    shorten: Callable[..., object],
    fault: Fault,
    times: int,
) -> None:
    """Once half of what was warm is let go, then all; no bit of report or files tells of it."""
    undisturbed = bench.job()
    ram, kept = bench.workshop.ram, list[int]()
    before = ram.used

    def keep(share: float) -> None:
        RamTier.keep(ram, share)
        kept.append(ram.used)

    monkeypatch.setattr(ram, "keep", keep)
    shorten(monkeypatch, fault, times)
    assert bench.job() == undisturbed
    assert len(kept) == times
    assert 0.3 * before < kept[0] <= 0.5 * before
    assert kept[1:] == [0] * (times - 1)
    assert ram.used < before


@pytest.mark.parametrize("workers", [2, 3])
def test_it_is_judged_again_with_no_other_beside_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """Several run short at once: each tries again alone, and no bit tells of it."""
    undisturbed = bench.job()
    at_once(monkeypatch, workers)
    short = threading.Barrier(workers)
    at_work, failed = set[str](), set[str]()

    def score(modules: Sequence[LoraModule], *others: Any) -> Any:
        name = modules[0].path
        at_work.add(name)
        try:
            if len(failed) < workers and name not in failed:
                short.wait(30)
                failed.add(name)
                on_a_gpu()
            if name in failed:
                assert at_work == {name}
            return score_modules(modules, *others)
        finally:
            at_work.remove(name)

    monkeypatch.setattr("worker.judging.score_modules", score)
    assert bench.job() == undisturbed
    assert len(failed) == workers


def test_what_a_module_had_on_the_device_is_let_go_before_the_warm_ones_are() -> None:
    """Its own tensors would be in the way of the next attempt: no error holds on to them."""
    held: list[weakref.ref[torch.Tensor]] = []
    gone: list[bool] = []

    class Warm:
        def keep_warm(self, share: float) -> None:
            del share
            gone.append(held[-1]() is None)

    def work() -> None:
        tensor = torch.zeros(3)
        held.append(weakref.ref(tensor))
        on_a_gpu()

    with pytest.raises(DeviceOutOfMemory):
        with_room(Warm(), Turns(2), work)  # type: ignore[arg-type]
    assert gone == [True, True]


def test_what_does_not_fit_with_nothing_beside_it_fails_the_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three attempts, a stable code, words that say what to do; the worker's next job is well."""
    undisturbed = bench.job()
    before = bench.workshop.ram.used
    with monkeypatch.context() as patch:
        short = score_short(patch, on_a_gpu, times=1000)
        with pytest.raises(DeviceOutOfMemory) as caught:
            bench.job()
    assert short.called == FROM + 3
    assert caught.value.code == "device_out_of_memory"
    for advice in ("larger GPU", "SAFELORA_WORKER__DEVICE=cpu", "SAFELORA_ALIGNMENTS__RAM_BYTES"):
        assert advice in caught.value.message
    assert bench.workshop.ram.used <= before / 6  # of the module itself
    assert bench.job() == undisturbed


def test_the_caller_is_told(
    service: Service,
    record: AlignmentRecord,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The job is failed at once, with the code: another attempt would find no more memory."""
    score_short(monkeypatch, on_a_gpu, times=1000)
    result = service.run(record)
    assert result.state is JobState.FAILED
    assert result.error is not None
    assert result.error.code == "device_out_of_memory"
    assert "larger GPU" in result.error.message
    assert sum("CUDA out of memory" in r.getMessage() for r in caplog.records) >= 2


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), AlignmentError("damaged")])
def test_no_other_error_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """What is no lack of memory goes on as it was raised, and costs nothing that is warm."""
    bench.job()
    before = bench.workshop.ram.used

    def fault() -> None:
        raise error

    short = score_short(monkeypatch, fault, times=1000)
    with pytest.raises(type(error)) as caught:
        bench.job()
    assert caught.value is error
    assert short.called == FROM + 1
    assert bench.workshop.ram.used == before


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return make_desk(tmp_path, capsys)


@pytest.mark.parametrize("ready", [False, True])
def test_the_offline_command_does_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, ready: bool
) -> None:
    """Of a pair and of a ready alignment: the same files after two failures, after more exit 1."""
    source = ("--alignment", str(build(desk))) if ready else desk.pair
    with monkeypatch.context() as patch:
        score_short(patch, on_a_gpu, times=1000, start=1)
        failed = desk.run(*source)
    assert failed.code == FAILED
    assert "error [device_out_of_memory]" in failed.err
    assert desk.nothing_made()
    with monkeypatch.context() as patch:
        score_short(patch, on_a_gpu, times=2, start=1)
        assert desk.run(*source).code == DONE
    retried = desk.written()
    for name in retried:
        (desk.output / name).unlink()
    assert desk.run(*source).code == DONE
    assert {**desk.written(), "timings.json": b""} == {**retried, "timings.json": b""}
