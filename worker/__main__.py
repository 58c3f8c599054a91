"""`python -m worker`: one adapter offline."""

import argparse
import sys
from collections.abc import Sequence

from worker import offline


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m worker")
    commands = parser.add_subparsers(dest="command", required=True)
    offline.add_arguments(
        commands.add_parser("sanitize", help="project one adapter, with no service")
    )
    return offline.run(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
