"""The nearest tier against a plain list: what it holds, what it drops, and never too much."""

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
