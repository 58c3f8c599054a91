"""The bound on the disk tier."""

import os
import random
import time
from pathlib import Path

import pytest

from core.alignments import Manifest
from tests.worker.alignment.tiers.making import CountingStore, Machine, load_all, same
from worker.alignment.tiers import make_room

ID = "0" * 40


def put(path: Path, size: int, *, age: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (then := time.time() - age, then))
    return path


@pytest.mark.parametrize("seed", range(20))
def test_least_recently_used_go_first_and_no_more_than_must(seed: int, tmp_path: Path) -> None:
    """Over alignments, sizes and bounds: what stays fits, is the newest, and one more would not."""
    choice = random.Random(seed)
    ages = choice.sample(range(1000), 12)
    files = [
        put(tmp_path / choice.choice("abc") / f"{n}.safetensors", choice.randrange(1, 50), age=age)
        for n, age in enumerate(ages)
    ]
    newest_first = [file for _, file in sorted(zip(ages, files, strict=True))]
    sizes = {file: file.stat().st_size for file in files}
    capacity = choice.randrange(sum(sizes.values()) + 10)
    make_room(tmp_path, capacity)
    left = [file for file in newest_first if file.exists()]
    assert left == newest_first[: len(left)]
    assert sum(sizes[file] for file in left) <= capacity
    if len(left) < len(files):
        assert sum(sizes[file] for file in newest_first[: len(left) + 1]) > capacity


def test_what_is_being_written_or_built_is_left_alone(tmp_path: Path) -> None:
    """Nor is a manifest dropped, nor a lock that is held, however small the bound."""
    kept = [
        put(tmp_path / ID / name, 10)
        for name in (".a.safetensors.part", "a.safetensors.lock", "alignment.json")
    ]
    kept.append(put(tmp_path / f".building-{ID}" / "b.safetensors", 10))
    fetched = put(tmp_path / ID / "fetched.safetensors", 10, age=99.0)
    other = put(tmp_path / ID / "other.safetensors", 10)
    make_room(tmp_path, 0, keep=fetched)
    assert not other.exists()
    assert all(file.exists() for file in [*kept, fetched])


def test_what_a_killed_process_was_writing_is_removed_after_a_day(tmp_path: Path) -> None:
    """Nothing else would ever name that file again."""
    old = put(tmp_path / ID / ".a.safetensors.part", 10, age=25 * 3600)
    make_room(tmp_path, 1000)
    assert not old.exists()


def test_a_cache_that_is_not_there_yet_needs_no_room(tmp_path: Path) -> None:
    """Nor is it made."""
    make_room(tmp_path / "none", 0)
    assert not (tmp_path / "none").exists()


def test_use_keeps_a_file(manifest: Manifest, machine: Machine) -> None:
    """Loading a module from disk makes it the last to be dropped."""
    load_all(machine.process(manifest))
    first = manifest.modules[0]
    for name in manifest.files:
        os.utime(machine.cache / manifest.id / name, (then := time.time() - 100.0, then))
    machine.process(manifest).load(first)
    size = sum(
        (machine.cache / manifest.id / name).stat().st_size
        for name in (first.shard, first.spectrum_shard)
    )
    make_room(machine.cache, size)
    assert machine.on_disk(manifest) == {first.shard, first.spectrum_shard}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_modules_load_however_small_the_bound(
    share: float, manifest: Manifest, counting: CountingStore, machine: Machine, tmp_path: Path
) -> None:
    """And RAM's modules, views on files that were dropped since, stay what they were."""
    expected = load_all(machine.process(manifest))
    whole = sum((machine.cache / manifest.id / name).stat().st_size for name in manifest.files)
    largest = max((machine.cache / manifest.id / n).stat().st_size for n in manifest.files)
    small = Machine(tmp_path / "small", counting, capacity=int(share * whole))
    process = small.process(manifest)
    assert same(load_all(process), expected)
    assert same(load_all(process), expected)
    used = sum(file.stat().st_size for file in small.cache.rglob("*.safetensors"))
    assert used <= max(int(share * whole), largest)
