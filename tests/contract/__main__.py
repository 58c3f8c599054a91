"""`make contract`: thousands of requests, made from the OpenAPI document, to a running service."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.contract.running import judge
from tests.contract.standing import judged_service
from tests.servers import SeaweedServer

LEAST_CASES = 2000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.contract", description=__doc__)
    parser.add_argument("--examples", type=int, help="random cases an operation; 25, and 8 on S3")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--s3", action="store_true", help="on SeaweedFS instead of a folder")
    arguments = parser.parse_args()
    examples = arguments.examples or (8 if arguments.s3 else 25)  # what S3 answers takes longer
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="contract-")))
        seaweed = stack.enter_context(SeaweedServer()) if arguments.s3 else None
        given = stack.enter_context(judged_service(folder, seaweed))
        verdict = judge(given, folder, examples=examples, seed=arguments.seed)
    sys.stdout.write(verdict.output)
    for label in sorted(verdict.operations):
        counted = {s: n for (found, s), n in sorted(verdict.statuses.items()) if found == label}
        sys.stdout.write(f"{label}: {', '.join(f'{n} of {s}' for s, n in counted.items())}\n")
    complaints = verdict.complaints(least_cases=LEAST_CASES)
    sys.stdout.writelines(f"{complaint}\n" for complaint in complaints)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
