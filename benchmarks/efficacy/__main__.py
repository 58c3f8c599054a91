"""`python -m benchmarks.efficacy`: train and ask what is missing, write docs/efficacy.md.

Everything is kept under .cache/efficacy as it is made, so that a run can be stopped at any time and
taken up again. Several may run side by side (`--stage choose --model A`, `--stage choose --model
B`); OMP_NUM_THREADS=1 is best on two cores.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from transformers.utils.logging import disable_progress_bar

from benchmarks.efficacy.attackers import attack
from benchmarks.efficacy.course import carry_over, choose, confirm, spare, stand_in, train
from benchmarks.efficacy.laboratory import Laboratory
from benchmarks.efficacy.making import CACHE
from benchmarks.efficacy.page import write_page
from benchmarks.efficacy.plan import CARRIED_TO, MODELS, Plan, plan
from benchmarks.efficacy.separation import score

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
# In the order in which they build on each other; knobs are chosen on all models before any test.
STAGES: Final[Mapping[str, Callable[[Laboratory, Plan], None]]] = {
    "train": train,
    "choose": choose,
    "spare": spare,
    "confirm": confirm,
    "attack": attack,
    "score": score,
}


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    disable_progress_bar()
    arguments = _arguments()
    chosen = plan(quick=arguments.quick)
    stages = [name for name in STAGES if chosen.whole or name != "attack"]
    for stage in [arguments.stage] if arguments.stage else stages:
        for model in chosen.models:
            if arguments.model in (None, model) and not arguments.report:
                STAGES[stage](Laboratory(model), chosen)
    if chosen.whole and not arguments.report and not arguments.stage:
        carry_over(Laboratory(CARRIED_TO), chosen)
        for model in chosen.models:
            stand_in(Laboratory(model, from_stand_in=True), chosen)
    if not arguments.stage:
        write_page(chosen, CACHE / "quick" if arguments.quick else DOCS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.efficacy", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one model, one seed, few settings")
    parser.add_argument("--model", choices=MODELS, help="only this aligned model")
    parser.add_argument("--stage", choices=STAGES, help="only this much of it")
    parser.add_argument("--report", action="store_true", help="only write the page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
