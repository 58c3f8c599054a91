"""A run begins with inputs that are what they are taken for."""

from pathlib import Path
from random import Random

import pytest

from fuzz.corpus import write_seeds
from fuzz.mutate import mutator
from fuzz.targets import SHARES
from tests.fuzz.conftest import Try


@pytest.mark.parametrize("target", SHARES)
def test_good_seeds_are_accepted(target: str, tried: Try, fuzz_pair: Path, tmp_path: Path) -> None:
    """Otherwise a run would only ever see what is rejected at the first check."""
    write_seeds(target, fuzz_pair, tmp_path / "seeds")
    good = [path.read_bytes() for path in (tmp_path / "seeds").glob("good-*")]
    hostile = [path.read_bytes() for path in (tmp_path / "seeds").glob("hostile-*")]
    assert len(good) >= 5
    assert all(tried(target, data) for data in good)
    assert not all(tried(target, data) for data in hostile)


@pytest.mark.parametrize("target", SHARES)
def test_a_fair_share_of_what_is_mutated_is_accepted(
    target: str, tried: Try, fuzz_pair: Path, tmp_path: Path
) -> None:
    """Mutations reach what lies behind the checks: 10 to 90 of 100, and no two alike."""
    write_seeds(target, fuzz_pair, tmp_path / "seeds")
    good = [path.read_bytes() for path in sorted((tmp_path / "seeds").glob("good-*"))]
    random, mutate = Random(1), mutator(target)
    made = [mutate(random, random.choice(good)) for _ in range(300)]
    assert len(set(made)) > 200
    assert 30 <= sum(tried(target, data) for data in made) <= 270
