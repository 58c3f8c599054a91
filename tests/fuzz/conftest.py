"""The targets of the fuzzer, each under its guard: any fault is raised."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz.guard import Guard
from fuzz.ledger import Ledger
from fuzz.pair import make_pair
from fuzz.targets import SHARES, Place, make_target

Try = Callable[[str, bytes], bool]


@pytest.fixture(scope="session")
def fuzz_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pair(tmp_path_factory.mktemp("fuzz") / "pair")


@pytest.fixture(scope="session")
def tried(fuzz_pair: Path, tmp_path_factory: pytest.TempPathFactory) -> Try:
    """Whether the target of that name accepts the input. Raises `Fault`."""
    folder = tmp_path_factory.mktemp("targets")
    ledger = Ledger(folder / "ledger")
    guards = {}
    for name in SHARES:
        (folder / name).mkdir()
        guards[name] = Guard(make_target(name, Place(folder / name, fuzz_pair)), ledger)

    def run(name: str, data: bytes) -> bool:
        before = ledger.tally.accepted
        guards[name](data)
        return ledger.tally.accepted > before

    return run
