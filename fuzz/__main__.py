"""Feed mutated inputs to everything that parses what a stranger sends.

Ends with 0 if each input was accepted or rejected, with 1 if one crashed or hung a parser or fewer
were tried than asked for, with 2 if there is no atheris.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzz.ledger import Tally
from fuzz.plants import KINDS
from fuzz.plants import TARGET as PLANTED
from fuzz.run import LONGEST_INPUT, Job, Outcome, run_all
from fuzz.targets import SHARES

INPUTS = 1_000_000
KEPT = Path(".cache/fuzz")
_LINES, _COLUMNS = 40, 200  # shown of what a child printed before it died


def main() -> int:
    given = _arguments()
    if given.replay is None and not _has_atheris():
        return 2
    with TemporaryDirectory(prefix="fuzz-") as folder:
        jobs = _jobs(given, Path(folder))
        outcomes = run_all(jobs)
    for outcome in outcomes:
        _report(outcome, given)
    total = sum((outcome.tally for outcome in outcomes), Tally())
    asked = 1 if given.replay else given.inputs
    print(f"fuzz: {total}")
    is_sound = all(outcome.exit_code == 0 for outcome in outcomes)
    return 0 if is_sound and not total.faults and total.inputs >= asked else 1


def _has_atheris() -> bool:
    try:
        import atheris  # noqa: F401
    except ImportError as error:
        print(f"atheris cannot be imported ({error}): it is in the extra `dev`", file=sys.stderr)
        return False
    return True


def _jobs(given: argparse.Namespace, folder: Path) -> list[Job]:
    from fuzz.pair import make_pair  # torch is loaded for whoever fuzzes, not for `--help`

    pair = make_pair(folder / "pair")
    plant = ("--plant", given.plant) if given.plant else ()
    if given.replay:
        arguments = ("--replay", str(given.replay.resolve()), *plant)
        name = given.target or PLANTED
        return [Job(name, name, folder / "replay", pair, arguments, LONGEST_INPUT)]
    targets = [given.target or PLANTED] if given.plant or given.target else list(SHARES)
    whole = sum(SHARES[target] for target in targets)
    jobs = []
    for target in targets:
        inputs = -(-given.inputs * SHARES[target] // whole)  # rounded up
        jobs.append(_fuzzing(target, int(inputs), given.seed, folder, pair, plant))
    return [*jobs, *(_giants(folder, pair) if given.giants else [])]


def _fuzzing(
    target: str, inputs: int, seed: int, folder: Path, pair: Path, plant: tuple[str, ...]
) -> Job:
    """`inputs` mutated ones; those that it begins with come on top."""
    from fuzz.corpus import write_seeds

    corpus = folder / f"corpus-{target}"
    runs = inputs + write_seeds(target, pair, corpus)
    arguments = ("--corpus", str(corpus), "--runs", str(runs), "--seed", str(seed), *plant)
    return Job(target, target, folder / target, pair, arguments)


def _giants(folder: Path, pair: Path) -> list[Job]:
    from fuzz.giants import GIANTS

    return [
        Job(name, giant.target, folder / f"giant-{n}", pair, ("--giant", name), LONGEST_INPUT)
        for n, (name, giant) in enumerate(GIANTS.items())
    ]


def _report(outcome: Outcome, given: argparse.Namespace) -> None:
    print(f"{outcome.job.name}: {outcome.tally}")
    if outcome.exit_code != 0:
        print("\n".join(line[:_COLUMNS] for line in outcome.log.splitlines()[-_LINES:]))
    kept = outcome.saved(given.keep)
    if kept:
        planted = f" --plant {given.plant}" if given.plant else ""
        print(f"the input is kept as {kept}; to see it again:")
        print(f"    python -m fuzz --replay {kept} --target {outcome.job.target}{planted}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS, help=f"at least; {INPUTS} by default")
    parser.add_argument("--target", choices=list(SHARES), help="this one alone")
    parser.add_argument("--seed", type=int, default=1, help="another one tries other inputs")
    parser.add_argument("--giants", action="store_true", help="the largest inputs too")
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="this input alone; needs --target"
    )
    parser.add_argument("--keep", type=Path, default=KEPT, help=f"for faulty inputs; {KEPT}")
    parser.add_argument("--plant", choices=KINDS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.replay and not given.target:
        parser.error("--replay needs --target")
    return given


if __name__ == "__main__":
    sys.exit(main())
