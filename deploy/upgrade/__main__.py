"""Upgrade a gate from an older state of this repository while it works, and go back again.

Starts two APIs, two workers and the courier as they were at OLD_REF, posts adapters without a
pause, and goes through what docs/operations.md says of upgrading. Ends with 0 if every accepted job
came to its right end, and what was given out before is given out still.
"""

import argparse
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.upgrade.story import run

SECONDS = 8.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.upgrade", description=__doc__)
    parser.add_argument("old_ref", metavar="OLD_REF", help="a tag, branch or commit")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each phase takes")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for logs and data; else gone")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all that was started ends
    with TemporaryDirectory(prefix="upgrade-") as folder:
        complaints = run(given.old_ref, given.keep or Path(folder), given.seconds)
    for complaint in complaints:
        print(f"wrong: {complaint}")
    print("nothing was wrong" if not complaints else f"{len(complaints)} things were wrong")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
