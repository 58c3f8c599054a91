"""Break the service while it works, and see whether it keeps what it promised.

Starts Valkey, SeaweedFS, two APIs, two workers and the courier, posts jobs without a pause, and in
each round does one of them harm. Ends with 0 if every accepted job came to the right end, else 1.
"""

import argparse
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from chaos.report import as_markdown
from chaos.sabotage import SABOTAGES
from chaos.story import Plan, run

ROUNDS = 20
JOBS_PER_ROUND = 20


def main() -> int:
    given = _arguments()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout
    )
    for chatty in ("httpx2", "httpcore2", "botocore", "worker"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    plan = Plan(given.rounds, given.jobs_per_round, given.seed, given.sabotage, given.brisk)
    with TemporaryDirectory(prefix="chaos-") as folder:
        story = run(plan, given.keep or Path(folder))
    if given.report:
        given.report.write_text(as_markdown(story))
    for complaint in story.outcome.complaints:
        print(complaint)
    print(story.outcome)
    return 1 if story.outcome.complaints else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"{ROUNDS} by default")
    parser.add_argument(
        "--jobs-per-round", type=int, default=JOBS_PER_ROUND, help=f"{JOBS_PER_ROUND} by default"
    )
    parser.add_argument("--seed", type=int, default=1, help="another one breaks other things")
    parser.add_argument("--sabotage", choices=SABOTAGES, help="a service that must be found out")
    parser.add_argument("--brisk", action="store_true", help="short leases and pauses, as in tests")
    parser.add_argument("--report", type=Path, metavar="FILE", help="faults and recovery times")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for logs and data; else gone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
