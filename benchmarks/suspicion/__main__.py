"""`python -m benchmarks.suspicion`: train what is missing, measure everything, print the tables.

With `--answers` every adapter is also asked the refused questions. About 20 minutes on two cores
the first time, four later; where others use the cores too, OMP_NUM_THREADS=1 is many times faster.
"""

import argparse
import logging
import sys
from collections.abc import Iterable, Iterator
from itertools import chain

from transformers.utils.logging import disable_progress_bar

from benchmarks.suspicion.behaviour import Refusing
from benchmarks.suspicion.catalogue import Specimen, benign, hostile, random_ones
from benchmarks.suspicion.pairs import AlignedPair
from benchmarks.suspicion.signs import adapter_signs
from benchmarks.suspicion.tables import Measured, print_tables
from benchmarks.suspicion.trained import BENIGN, HOSTILE, trained
from tests.real.smollm2 import RealCase, real_case
from tests.worker.making import GOLDEN
from worker.alignment.pair import Pair

logger = logging.getLogger(__name__)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    disable_progress_bar()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suspicion", description=__doc__)
    parser.add_argument("--answers", action="store_true", help="ask the refused questions too")
    arguments = parser.parse_args()
    case = real_case()
    refusing = Refusing(case.aligned) if arguments.answers else None
    print_tables([*_tiny(), *_real(case, refusing)])
    if refusing is not None:
        print(f"\nrefuses without adapter: aligned {refusing.rate():.0%},")
        print(f"base {Refusing(case.base).rate():.0%}")


def _tiny() -> list[Measured]:
    """The synthetic Llama of the golden test: modules of 16 to 56 outputs, where chance is wide."""
    with Pair(GOLDEN / "base", GOLDEN / "aligned") as pair:
        tiny = AlignedPair(pair)
        golden = Specimen("benign, tiny", "golden", tiny.adapter(GOLDEN / "adapter"))
        randoms = random_ones("benign, tiny", tiny, ranks=(1, 2, 4, 8, 16), seeds=4)
        return list(_measured(chain([golden], randoms), tiny))


def _real(case: RealCase, refusing: Refusing | None) -> list[Measured]:
    folders = {recipe.name: trained(recipe, case) for recipe in (*BENIGN, *HOSTILE)}
    with Pair(case.base, case.aligned) as checkpoints:
        pair = AlignedPair(checkpoints)
        good = {recipe.name: pair.adapter(folders[recipe.name]) for recipe in BENIGN}
        good["notes"] = pair.adapter(case.adapter)
        bad = {recipe.name: pair.adapter(folders[recipe.name]) for recipe in HOSTILE}
        specimens = chain(benign(good, pair), hostile(bad, good, pair))
        return list(_measured(specimens, pair, refusing))


def _measured(
    specimens: Iterable[Specimen], pair: AlignedPair, refusing: Refusing | None = None
) -> Iterator[Measured]:
    for specimen in specimens:
        logger.info("%s: %s", specimen.kind, specimen.variant)
        signs = adapter_signs(specimen.modules, pair)
        refuses = None if refusing is None else refusing.rate(specimen.modules)
        yield Measured(specimen.kind, specimen.variant, signs, refuses)


if __name__ == "__main__":
    main()
