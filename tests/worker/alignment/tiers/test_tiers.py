"""Which tier serves, and what becomes of a damaged copy in each."""

from pathlib import Path

import pytest
from redis import Redis

from core.alignments import MANIFEST_FILE, Manifest
from core.errors import AlignmentError
from tests.worker.alignment.tiers.making import (
    CountingStore,
    Machine,
    damage_in_store,
    flipped,
    load_all,
    named_by_sha256,
    published,
    replace,
    same,
)
from worker.alignment.tiers import RedisTier, TierCounts


def redis_key(filename: str) -> str:
    return f"safelora:shard:{filename.removesuffix('.safetensors')}"


def test_nearest_tier_that_has_a_module_serves_it(
    manifest: Manifest, counting: CountingStore, redis_tier: RedisTier, tmp_path: Path
) -> None:
    """Store, then Redis on another machine, then its disk, then RAM: bit for bit the same."""
    counts = TierCounts()
    first = Machine(tmp_path / "one", counting, redis_tier, counts=counts)
    from_store = load_all(first.process(manifest))
    second = Machine(tmp_path / "two", counting, redis_tier, counts=counts)
    from_redis = load_all(second.process(manifest))
    warm = second.process(manifest)
    from_disk, from_ram = load_all(warm), load_all(warm)
    assert all(same(from_store, other) for other in (from_redis, from_disk, from_ram))
    assert counting.gets == dict.fromkeys(manifest.files, 1)
    assert str(counts) == "24 modules from ram 6, disk 6, redis 6, store 6"
    size = sum((tmp_path / "one" / manifest.id / name).stat().st_size for name in manifest.files)
    assert (counts.bytes["store"], counts.bytes["redis"], counts.bytes["disk"]) == (size,) * 3
    assert 0 < counts.bytes["ram"] < size


def test_files_named_by_their_sha256_serve_and_are_checked_by_it(
    built: tuple[Path, Manifest],
    manifest: Manifest,
    counting: CountingStore,
    redis_tier: RedisTier,
    tmp_path: Path,
) -> None:
    """As alignments of before have them: from store, Redis and disk, and no damaged one of them."""
    older = published(named_by_sha256(built, tmp_path / "older"), counting)
    assert older.id != manifest.id
    wanted = load_all(Machine(tmp_path / "one", counting).process(manifest))
    counts = TierCounts()
    machines = [
        Machine(tmp_path / name, counting, redis_tier, counts=counts) for name in ("two", "three")
    ]
    assert all(same(load_all(one.process(older)), wanted) for one in (*machines, machines[0]))
    assert str(counts) == "18 modules from ram 0, disk 6, redis 6, store 6"
    damage_in_store(counting, older, older.modules[0])
    with pytest.raises(AlignmentError, match="does not have the digest"):
        load_all(Machine(tmp_path / "four", counting).process(older))


def test_counts_of_a_job_are_counted_in_the_process_too(
    manifest: Manifest, counting: CountingStore, tmp_path: Path
) -> None:
    """Two jobs, each with its own numbers, and their sum."""
    whole = TierCounts()
    for place, modules in (("one", 6), ("two", 6)):
        machine = Machine(tmp_path / place, counting, counts=TierCounts(whole))
        load_all(machine.process(manifest))
        assert machine.counts.modules.total() == modules
    assert str(whole) == "12 modules from ram 0, disk 0, redis 0, store 12"


def test_ram_serves_without_any_other_tier(manifest: Manifest, machine: Machine) -> None:
    """What was checked once is neither read nor asked for again, whatever befalls the files."""
    process = machine.process(manifest)
    before = load_all(process)
    copies = [(module.tensors.v.clone(), module.tensors.u.clone()) for module in before]
    for name in manifest.files:
        path = machine.cache / manifest.id / name
        replace(path, flipped(path.read_bytes()))
    after = load_all(process)
    assert all(
        v.equal(module.tensors.v) and u.equal(module.tensors.u)
        for (v, u), module in zip(copies, after, strict=True)
    )


def test_a_damaged_file_on_disk_is_replaced(
    manifest: Manifest, counting: CountingStore, machine: Machine
) -> None:
    """V or spectrum, flipped, cut short or empty: the file is fetched again, it alone."""
    before = load_all(machine.process(manifest))
    first, second, third = manifest.modules[:3]
    folder = machine.cache / manifest.id
    replace(folder / first.shard, flipped((folder / first.shard).read_bytes()))
    replace(folder / second.spectrum_shard, b"")
    replace(folder / third.shard, (folder / third.shard).read_bytes()[:-1])
    counting.gets.clear()
    assert same(load_all(machine.process(manifest)), before)
    assert counting.gets == dict.fromkeys([first.shard, second.spectrum_shard, third.shard], 1)
    counting.gets.clear()
    load_all(machine.process(manifest))
    assert not counting.gets


def test_a_damaged_value_in_redis_is_replaced(
    manifest: Manifest,
    counting: CountingStore,
    redis_tier: RedisTier,
    client: Redis,
    tmp_path: Path,
) -> None:
    """The value is deleted, the store serves, and the good bytes take its place."""
    before = load_all(Machine(tmp_path / "one", counting, redis_tier).process(manifest))
    key = redis_key(manifest.modules[0].shard)
    good = client.get(key)
    assert isinstance(good, bytes)
    client.set(key, flipped(good))
    counting.gets.clear()
    after = load_all(Machine(tmp_path / "two", counting, redis_tier).process(manifest))
    assert same(before, after)
    assert counting.gets == {manifest.modules[0].shard: 1}
    assert client.get(key) == good


def test_a_damaged_object_is_an_error_and_goes_nowhere(
    manifest: Manifest,
    counting: CountingStore,
    redis_tier: RedisTier,
    client: Redis,
    tmp_path: Path,
) -> None:
    """`alignment_damaged`; neither Redis nor the disk keeps a copy of it, nor of the manifest."""
    entry = manifest.modules[0]
    damage_in_store(counting, manifest, entry)
    machine = Machine(tmp_path / "one", counting, redis_tier)
    machine.files(manifest).open(MANIFEST_FILE).file.close()
    with pytest.raises(AlignmentError) as caught:
        machine.process(manifest).load(entry)
    assert caught.value.code == "alignment_damaged"
    assert client.get(redis_key(entry.shard)) is None
    assert machine.on_disk(manifest) == set()


def test_a_missing_object_is_an_error(
    manifest: Manifest, counting: CountingStore, machine: Machine
) -> None:
    """`alignment_missing`, and no half of a file stays behind."""
    entry = manifest.modules[0]
    counting.delete(f"alignments/{manifest.id}/{entry.shard}")
    with pytest.raises(AlignmentError) as caught:
        machine.process(manifest).load(entry)
    assert caught.value.code == "alignment_missing"
    assert machine.on_disk(manifest) == set()
