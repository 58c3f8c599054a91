"""A build that was stopped, however it was stopped, goes on where it was."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from core.alignments import MANIFEST_FILE, AlignmentRecord
from core.errors import AlignmentError
from tests.worker.alignment.building import MODULES, Site, wait_for, wait_until
from worker.alignment import build
from worker.alignment.make import LoadedModule, make_module
from worker.alignment.workplace import STALE_SECONDS, clear, workplace

KILLED_AFTER = 3


class Stopped(Exception):
    """What a step raises in place of a cancel or a drain."""


def stop_at(modules: int) -> Callable[[int, int], None]:
    def step(done: int, total: int) -> None:
        if total and done == modules:
            raise Stopped

    return step


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The modules that are made, in order; each is made as always."""
    names: list[str] = []

    def counted(name: str, *rest: Any) -> LoadedModule:
        names.append(name)
        return make_module(name, *rest)

    monkeypatch.setattr(build, "make_module", counted)
    yield names


@pytest.fixture
def record(site: Site) -> AlignmentRecord:
    return site.record(site.pair())


@pytest.fixture
def stopped(site: Site, record: AlignmentRecord) -> Path:
    """The folder of a build of `record` that stopped after three modules."""
    with pytest.raises(Stopped):
        site.build(record, stop_at(KILLED_AFTER))
    [folder] = site.half_built
    return folder


def undisturbed(site: Site, record: AlignmentRecord) -> AlignmentRecord:
    """The same pair, built at one go in another place."""
    other = Site(site.folder / "elsewhere")
    return other.build(other.record((Path(record.base), Path(record.aligned))))


def identities(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of each shard: a rename keeps both, a write none."""
    files = folder.glob("*.safetensors")
    return {f.name: (f.stat().st_ino, f.stat().st_mtime_ns) for f in files}


def test_a_killed_build_goes_on_where_it_was(
    site: Site, record: AlignmentRecord, made: list[str]
) -> None:
    """kill -9 after three modules: the next run makes the others only, and the id is the same."""
    with site.process(record.name, KILLED_AFTER) as process:
        wait_for(process, f"{KILLED_AFTER} of {len(MODULES)}")
        [folder] = site.half_built
        wait_until(lambda: len(list(folder.glob("*.json"))) == KILLED_AFTER)
        process.kill()
    before = identities(folder)
    assert len(before) == 2 * KILLED_AFTER
    (folder / "partial.part").write_bytes(b"half a shard")
    built = site.build(record)
    assert built.id is not None
    assert made == MODULES[KILLED_AFTER:]
    assert before.items() <= identities(site.cache / built.id).items()
    assert built.id == undisturbed(site, record).id
    assert site.half_built == []


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def forge(path: Path) -> None:
    """Another norm than the one that was measured."""
    path.write_text(path.read_text().replace('"norm": ', '"norm": 1'))


@pytest.mark.parametrize("file", ["shard", "spectrum_shard"])
@pytest.mark.parametrize("damage", [flip, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_shard_is_made_again(
    site: Site,
    record: AlignmentRecord,
    stopped: Path,
    made: list[str],
    file: str,
    damage: Callable[[Path], None],
) -> None:
    """One flipped byte, a file cut short or gone: that module alone is redone."""
    entries = [json.loads(path.read_text())["finished"]["entry"] for path in stopped.glob("*.json")]
    [second] = [entry for entry in entries if entry["name"] == MODULES[1]]
    damage(stopped / second[file])
    built = site.build(record)
    assert made == [MODULES[1], *MODULES[KILLED_AFTER:]]
    assert built.id == undisturbed(site, record).id
    entries_now = {entry.name: entry for entry in site.manifest(built).modules}
    assert entries_now[MODULES[1]].shard == second["shard"]


@pytest.mark.parametrize("damage", [flip, forge, Path.unlink, lambda p: p.write_text("{}")])
def test_a_damaged_entry_is_not_believed(
    site: Site,
    record: AlignmentRecord,
    stopped: Path,
    made: list[str],
    damage: Callable[[Path], None],
) -> None:
    """A number that changed on disk reaches no manifest."""
    first = min(stopped.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    damage(first)
    built = site.build(record)
    again = undisturbed(site, record)
    assert made[: len(MODULES) - KILLED_AFTER + 1] == [MODULES[0], *MODULES[KILLED_AFTER:]]
    assert site.manifest(built) == Site(site.folder / "elsewhere").manifest(again)


def test_an_entry_under_another_modules_name_is_not_taken(
    site: Site, record: AlignmentRecord, stopped: Path, made: list[str]
) -> None:
    """Entries say whose they are: shapes alone would not tell the layers apart."""
    one, two, *_ = sorted(stopped.glob("*.json"))
    one.write_bytes(two.read_bytes())
    built = site.build(record)
    assert len(made) == len(MODULES) - KILLED_AFTER + 1
    assert built.id == undisturbed(site, record).id


@pytest.mark.usefixtures("stopped")
def test_another_pair_of_that_name_starts_from_nothing(site: Site, made: list[str]) -> None:
    """A name means nothing to a build: what the first pair left is not picked up."""
    made.clear()
    other = site.record(site.pair("other", seed=2))
    built = site.build(other)
    assert made == MODULES
    assert built.id == undisturbed(site, other).id


def test_a_changed_checkpoint_starts_from_nothing(
    site: Site, record: AlignmentRecord, stopped: Path, made: list[str]
) -> None:
    """Same folder, same shapes, same size: other weights are another build."""
    made.clear()
    _, newer = site.pair("newer", seed=3)
    weights = Path(record.aligned) / "model.safetensors"
    weights.write_bytes((newer / "model.safetensors").read_bytes())
    built = site.build(record)
    assert made == MODULES
    assert built.id == undisturbed(site, record).id
    assert site.half_built == [stopped]


def test_the_same_pair_under_another_name_goes_on(
    site: Site, record: AlignmentRecord, stopped: Path, made: list[str]
) -> None:
    """As when the name was removed, and the pair registered again under a better one."""
    made.clear()
    site.build(site.record((Path(record.base), Path(record.aligned)), name="better"))
    assert made == MODULES[KILLED_AFTER:]
    assert not stopped.exists()


def test_a_second_process_waits_and_takes_over(
    site: Site, record: AlignmentRecord, made: list[str]
) -> None:
    """While one builds the other touches nothing; once that is killed, it goes on from there."""
    waited: list[Path] = []
    with site.process(record.name, KILLED_AFTER) as first:
        wait_for(first, f"{KILLED_AFTER} of {len(MODULES)}")

        def step(done: int, total: int) -> None:
            del done
            if total == 0:
                waited.extend(site.half_built)
                wait_until(lambda: len(list(waited[0].glob("*.json"))) == KILLED_AFTER)
                first.kill()

        built = site.build(record, step)
    assert waited
    assert made == MODULES[KILLED_AFTER:]
    assert built.id == undisturbed(site, record).id


def test_a_build_delivered_twice_is_built_once(
    site: Site, record: AlignmentRecord, made: list[str]
) -> None:
    """The second waits, and takes the first one's word."""
    inside, waiting = Event(), Event()
    ended: list[AlignmentRecord] = []

    def hold(done: int, total: int) -> None:
        del done, total
        inside.set()
        assert waiting.wait(30)

    def wait(done: int, total: int) -> None:
        assert (done, total) == (0, 0)
        waiting.set()

    first = Thread(target=lambda: ended.append(site.build(record, hold)))
    first.start()
    assert inside.wait(30)
    second = site.build(record, wait)
    first.join(30)
    assert ended == [second]
    assert second.state == "ready"
    assert made == MODULES


def test_a_build_stopped_while_it_is_stored_goes_on(
    site: Site, record: AlignmentRecord, made: list[str]
) -> None:
    """No manifest lies in the store before all else does; no module is made again."""

    def stored() -> list[str]:
        return [k for k in site.records.store.list("alignments/") if k.endswith(".safetensors")]

    def step(*_: int) -> None:
        if stored():
            raise Stopped

    with pytest.raises(Stopped):
        site.build(record, step)
    assert len(stored()) == 1
    assert not [k for k in site.records.store.list("alignments/") if k.endswith(MANIFEST_FILE)]
    made.clear()
    assert site.build(record).id == undisturbed(site, record).id
    assert made == MODULES  # the undisturbed build's


@pytest.mark.parametrize(
    ("code", "kept"), [("source_unreadable", True), ("checkpoint_changed", False)]
)
def test_a_source_that_refuses_for_a_while_costs_nothing_finished(
    site: Site, record: AlignmentRecord, code: str, kept: bool
) -> None:
    """A key that ran out leaves the bytes as they were; a checkpoint that changed does not."""

    def step(done: int, total: int) -> None:
        if total and done == KILLED_AFTER:
            raise AlignmentError("refused", code=code)

    with pytest.raises(AlignmentError, match="refused"):
        site.build(record, step)
    finished = [path for folder in site.half_built for path in folder.glob("*.json")]
    assert len(finished) == (KILLED_AFTER if kept else 0)


def test_a_full_disk_leaves_no_part_of_a_file(
    site: Site, record: AlignmentRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attempt after attempt would fill it further."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("worker.alignment.shards.rename_synced", full)
    with pytest.raises(OSError, match="No space"):
        site.build(record)
    [folder] = site.half_built
    assert list(folder.iterdir()) == []


def test_who_waited_for_a_cleared_folder_gets_one_of_its_own(tmp_path: Path) -> None:
    """What was locked has no name any more, so a third process would not see it held."""
    waited = Event()
    there: list[bool] = []

    def second() -> None:
        with workplace(tmp_path, "key", waiting=waited.set) as folder:
            there.append(folder.is_dir())

    thread = Thread(target=second)
    with workplace(tmp_path, "key", waiting=lambda: None) as folder:
        thread.start()
        assert waited.wait(30)
        clear(folder)
    thread.join(30)
    assert there == [True]


def test_what_nobody_comes_back_for_is_swept(site: Site, record: AlignmentRecord) -> None:
    """After a week: not what is younger, and not what another process holds."""
    folders = [site.cache / f".building-{name}" for name in ("old", "young", "held")]
    for folder in folders:
        folder.mkdir(parents=True)
    long_ago = time.time() - STALE_SECONDS - 60
    with workplace(site.cache, "held", waiting=lambda: None):
        for name in ("old", "held"):
            os.utime(site.cache / f".building-{name}", (long_ago, long_ago))
        site.build(record)
    assert site.half_built == sorted(folders[1:])


def test_a_pair_that_cannot_be_built_leaves_nothing(site: Site) -> None:
    """An identical pair holds no disk for a week."""
    base, _ = site.pair()
    with pytest.raises(AlignmentError, match="identical"):
        site.build(site.record((base, base)))
    assert site.half_built == []


@pytest.mark.parametrize("when", ["building", "waiting"])
def test_checkpoints_that_change_meanwhile_become_no_alignment(
    site: Site, record: AlignmentRecord, stopped: Path, when: str
) -> None:
    """Half of one model and half of another: refused, with nothing published or kept."""
    weights = Path(record.aligned) / "model.safetensors"
    held = ExitStack()
    if when == "waiting":
        key = stopped.name.removeprefix(".building-")
        held.enter_context(workplace(site.cache, key, waiting=lambda: None))

    def rewrite(done: int, total: int) -> None:
        if total == 0 or done == KILLED_AFTER:
            os.utime(weights, ns=(1, 1))
            held.close()

    with held, pytest.raises(AlignmentError) as caught:
        site.build(record, rewrite)
    assert caught.value.code == "checkpoint_changed"
    assert site.half_built == []
    assert list(site.records.store.folders("alignments/")) == ["names"]
