"""The nearest tier against a plain list: what it holds, what it drops, and never too much."""

from concurrent.futures import ThreadPoolExecutor
from random import Random

import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.alignment.tiers import RamTier

SIZES = st.integers(0, 12)


@given(st.integers(0, 20), st.lists(st.tuples(st.sampled_from("abcdef"), SIZES), max_size=40))
def test_least_recently_used_goes_first_and_the_bound_holds(
    capacity: int, asked: list[tuple[str, int]]
) -> None:
    """Each shard is asked for and put if it is not there, as a worker does; one that would not
    fit alone is not kept, and drops no other."""
    ram, held = RamTier(capacity), list[tuple[str, int]]()
    for name, size in asked:
        found = ram.get(name)
        kept = dict(held).get(name)
        assert (None if found is None else found["v"].numel()) == kept
        if kept is None:
            ram.put(name, {"v": torch.zeros(size, dtype=torch.uint8)})
        held = [one for one in held if one[0] != name]
        if kept is not None or size <= capacity:
            held.append((name, size if kept is None else kept))
        while sum(size for _, size in held) > capacity:
            held.pop(0)
        assert ram.used == sum(size for _, size in held) <= capacity


@given(st.lists(SIZES, max_size=10), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_a_share_is_kept_of_what_was_used_last(sizes: list[int], share: float) -> None:
    """No more than that share of the bytes, and no shard dropped that need not have been."""
    ram = RamTier(1000)
    for number, size in enumerate(sizes):
        ram.put(f"{number}", {"v": torch.zeros(size, dtype=torch.uint8)})
    before = ram.used
    ram.keep(share)
    kept = [number for number in range(len(sizes)) if ram.get(f"{number}") is not None]
    first = kept[0] if kept else len(sizes)
    assert kept == list(range(first, len(sizes)))
    assert ram.used == sum(sizes[first:]) <= share * before
    assert first == 0 or sum(sizes[first - 1 :]) > share * before


def test_threads_that_share_it_never_pass_the_bound() -> None:
    """Eight that put, get and drop at random: what it says that it holds is what it holds."""
    ram, over = RamTier(50), list[int]()

    def use(seed: int) -> None:
        random = Random(seed)
        for _ in range(500):
            name = random.choice("abcdefghij")
            if ram.get(name) is None:
                ram.put(name, {"v": torch.zeros(random.randint(1, 30), dtype=torch.uint8)})
            if random.random() < 0.05:
                ram.keep(0.5)
            if ram.used > ram.capacity:
                over.append(ram.used)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(use, seed) for seed in range(8)]:
            done.result()
    held = [tensors for name in "abcdefghij" if (tensors := ram.get(name)) is not None]
    assert ram.used == sum(tensors["v"].numel() for tensors in held)
    assert not over
