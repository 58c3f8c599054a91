"""`make contract`: thousands of requests, made from the OpenAPI document, to a running service."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.contract.running import judge, judged_service
from tests.servers import SeaweedServer

LEAST_CASES = 2000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.contract", description=__doc__)
    parser.add_argument("--examples", type=int, default=25, help="random cases an operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--s3", action="store_true", help="on SeaweedFS instead of a folder")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="contract-")))
        seaweed = stack.enter_context(SeaweedServer()) if arguments.s3 else None
        given = stack.enter_context(judged_service(folder, seaweed))
        verdict = judge(given, folder, examples=arguments.examples, seed=arguments.seed)
    sys.stdout.write(verdict.output)
    if verdict.cases < LEAST_CASES or verdict.untested:
        sys.stdout.write(f"too little was tried: {verdict.cases} cases\n")
        return 1
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main())
