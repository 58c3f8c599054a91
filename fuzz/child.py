"""One target in a process of its own, which may die of it: `python -m fuzz.child --help`."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fuzz.guard import Guard, Target
from fuzz.ledger import Ledger
from fuzz.plants import planted
from fuzz.targets import Place, make_target

WALL_SECONDS = 20  # after which one that waits, or never leaves native code, is taken for hung
MEMORY_MB = 4000  # what the machine must never run out of; the guard's own limit is far lower


@dataclass(frozen=True)
class Work:
    """What the command line asks for: the giant of that name, the input in `replay`, or else to
    fuzz from `corpus`."""

    target: str
    ledger: Path
    place: Place
    plant: str | None
    giant: str | None
    replay: Path | None
    corpus: Path
    runs: int
    seed: int


def main() -> None:
    work = _arguments()
    data = _one_input(work)
    if data is not None:
        Guard(_target(work), Ledger(work.ledger))(data)
    else:
        _fuzz(work)


def _fuzz(work: Work) -> None:
    """Ends the process: with 0 after all runs, with another code at the first fault."""
    import atheris

    with atheris.instrument_imports(include=["core", "worker"]):
        from fuzz.mutate import mutator

        target, mutate = _target(work), mutator(work.target)
    good = [path.read_bytes() for path in sorted(work.corpus.glob("good-*"))]

    def changed(data: bytes, longest: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < 0.4:  # what is accepted is rare among what is new, and tells most
            data = random.choice(good)
        if random.random() < 0.05:
            return bytes(atheris.Mutate(data, longest))
        return mutate(random, data)[:longest]

    atheris.Setup(_libfuzzer(work), Guard(target, Ledger(work.ledger)), custom_mutator=changed)
    atheris.Fuzz()


def _one_input(work: Work) -> bytes | None:
    if work.giant:
        from fuzz.giants import GIANTS

        return GIANTS[work.giant].make()
    return work.replay.read_bytes() if work.replay else None


def _target(work: Work) -> Target:
    target = make_target(work.target, work.place)
    return planted(work.plant, target) if work.plant else target


def _libfuzzer(work: Work) -> list[str]:
    options = {
        "runs": work.runs,
        "seed": work.seed,
        "max_len": 2**15,
        "len_control": 0,
        "timeout": WALL_SECONDS,
        "rss_limit_mb": MEMORY_MB,
        "artifact_prefix": f"{work.place.scratch}/",
        "print_final_stats": 1,
    }
    return [sys.argv[0], *(f"-{name}={value}" for name, value in options.items()), str(work.corpus)]


def _arguments() -> Work:
    parser = argparse.ArgumentParser(prog="python -m fuzz.child", description=__doc__)
    parser.add_argument("--target", required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--pair", type=Path, required=True)
    parser.add_argument("--plant")
    parser.add_argument("--giant")
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--corpus", type=Path, default=Path())
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    given = vars(parser.parse_args())
    place = Place(given.pop("scratch"), given.pop("pair"))
    return Work(place=place, **given)


if __name__ == "__main__":
    main()
