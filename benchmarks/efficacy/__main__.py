"""`python -m benchmarks.efficacy`: train and ask what is missing, write docs/efficacy.md.

Everything is kept under .cache/efficacy as it is made, so that a run can be stopped at any time and
taken up again. Several may run side by side (`--model A`, `--model B`); OMP_NUM_THREADS=1 is best
on two cores.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from transformers.utils.logging import disable_progress_bar

from benchmarks.efficacy.attackers import attack
from benchmarks.efficacy.laboratory import Laboratory
from benchmarks.efficacy.making import trained_adapter
from benchmarks.efficacy.page import write_page
from benchmarks.efficacy.plan import MODELS, Plan, plan, run, run_alone
from benchmarks.efficacy.recipes import ModelName
from benchmarks.efficacy.separation import score

STAGES = ("train", "ask", "score", "attack")


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    disable_progress_bar()
    arguments = _arguments()
    chosen = plan(quick=arguments.quick)
    if not arguments.report:
        names = [name for name in chosen.models if arguments.model in (None, name)]
        stages = [arguments.stage] if arguments.stage else STAGES[1:]
        _work(chosen, names, stages)
    write_page(chosen)


def _work(chosen: Plan, names: Sequence[ModelName], stages: Sequence[str]) -> None:
    """`ask` trains what it asks, adapter by adapter, the few telling settings of all first."""
    laboratories = {name: Laboratory(name) for name in names}
    adapters = [a for a in chosen.all_adapters() if a.model in names]
    if "train" in stages:
        for adapter in adapters:
            trained_adapter(adapter)
    if "ask" in stages:
        for laboratory in laboratories.values():
            run_alone(laboratory)
        for tried in (chosen.first, chosen.variants):
            for adapter in adapters:
                run(laboratories[adapter.model], [adapter], tried)
    if "score" in stages:
        score(adapters)
    if "attack" in stages:
        for laboratory in laboratories.values():
            attack(laboratory)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.efficacy", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one model, one seed, few settings")
    parser.add_argument("--model", choices=MODELS, help="only this aligned model")
    parser.add_argument("--stage", choices=STAGES, help="only this much of it")
    parser.add_argument("--report", action="store_true", help="only write the page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
