"""`python -m demo.llm`: a language model, attacked and sanitized, side by side.

What it makes is kept under .cache, so that a run which was stopped goes on from there.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

from rich.console import Console

from core.errors import GateError
from core.findings import printable
from demo.llm.limits import limits_text

INTERRUPTED = 130
WIDTH = 120  # where there is no terminal to ask


def main() -> int:
    arguments, start = _arguments(), time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):  # so that the service is stopped on both
        signal.signal(number, signal.default_int_handler)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    console.print("Limits first:", style="bold")
    console.print(limits_text(console.width))
    try:
        from demo.llm.story import run  # loads torch, transformers and PEFT: some seconds

        run(arguments.data, arguments.page or arguments.data / "page.md", console)
        console.print(f"all of it took {(time.monotonic() - start) / 60:.1f} minutes")
    except GateError as error:
        sys.stderr.write(f"error [{error.code}]: {printable(error.message)}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on with what is finished\n")
        return INTERRUPTED
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo.llm", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path("var/demo-llm"), help="folder for what comes out"
    )
    parser.add_argument("--page", type=Path, help="where the page goes; default: into the folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
