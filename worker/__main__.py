"""`python -m worker`: the worker process, the courier, or one adapter offline."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from core.exit_codes import WRONG_ARGUMENTS
from core.settings import SettingsInvalid, load_settings
from worker.waiting import wait_asleep


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code. Only the commands that compute import torch; the courier does not."""
    parsed = _parser().parse_args(arguments)
    if parsed.command == "sanitize":
        from worker.offline import run

        return run(parsed)
    try:
        settings = load_settings()
        if parsed.command == "courier":
            from worker.courier import run_process as run_courier

            return run_courier(settings)
        if parsed.command == "doctor":
            from worker.machine import run_process as run_doctor

            return run_doctor(settings)
        wait_asleep()
        from worker.gpu import run_process as run_worker

        return run_worker(settings)
    except SettingsInvalid as error:
        sys.stderr.write(error.told)
        return WRONG_ARGUMENTS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m worker")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="take jobs from the queue until told to stop")
    commands.add_parser("courier", help="reconcile queue and store until told to stop")
    commands.add_parser("doctor", help="say what this machine has for a worker, as JSON")
    sanitize = commands.add_parser("sanitize", help="project one adapter, with no service")
    sanitize.add_argument("adapter", type=Path, help="folder with the adapter's two files")
    sanitize.add_argument("--base", type=Path, help="checkpoint of the model before alignment")
    sanitize.add_argument("--aligned", type=Path, help="checkpoint of the aligned model")
    sanitize.add_argument("--alignment", type=Path, help="a ready alignment, instead of the pair")
    sanitize.add_argument("--output", type=Path, required=True, help="folder to make, or empty")
    sanitize.add_argument("--policy", help="JSON text, or a file that holds it")
    sanitize.add_argument("--base-name", help="base_model_name_or_path to write into the config")
    sanitize.add_argument("--signing-key", type=Path, help="private key to attest the result with")
    return parser


if __name__ == "__main__":
    sys.exit(main())
