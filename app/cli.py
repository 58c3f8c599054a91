"""`safelora-gate`: the service from a terminal."""

import sys
from io import TextIOWrapper
from typing import Final

import typer

from app.terminal.lazy import Command, LazyGroup

_RUN, _USE, _KEYS = "Run a gate", "Use a gate", "Keys"

COMMANDS: Final = {
    "up": Command(
        "app.terminal.up:up",
        "Start everything on this machine and keep it running until Ctrl-C.",
        _RUN,
    ),
    "serve": Command(
        "app.terminal.parts:serve",
        "Start the HTTP API alone, with the settings of the environment (SAFELORA_…).",
        _RUN,
    ),
    "worker": Command(
        "app.terminal.parts:worker",
        "Start one worker, with the settings of the environment (SAFELORA_…).",
        _RUN,
    ),
    "courier": Command(
        "app.terminal.parts:courier",
        "Start the courier, with the settings of the environment (SAFELORA_…).",
        _RUN,
    ),
    "doctor": Command(
        "app.terminal.doctor:doctor",
        "Look at everything that a gate needs, and say what is wrong and what to do.",
        _RUN,
    ),
    "align": Command(
        "app.terminal.align:align",
        "Register a pair of checkpoints on the gate's machine, and wait until it is built.",
        _USE,
    ),
    "submit": Command(
        "app.terminal.submit:submit",
        "Post an adapter, follow its job, print its report, and bring the result here.",
        _USE,
    ),
    "report": Command(
        "app.terminal.report:report",
        "Print a report: a heat map of its modules, a summary, and what was found.",
        _USE,
    ),
    "jobs": Command("app.terminal.jobs:jobs", "See jobs, steer them, bring their results.", _USE),
    "calibrate": Command(
        "app.terminal.calibrate:calibrate",
        "Score your own adapters and propose a setting, with the trade-off as a picture.",
        _USE,
    ),
    "verify": Command(
        "app.terminal.verify:verify",
        "Check that a gate published the adapter in DIR as it lies, and that the gate did enough.",
        _USE,
    ),
    "keys": Command(
        "app.terminal.keys:keys_cli",
        "API keys in the gate's store. A running gate knows of a change within five seconds.",
        _KEYS,
    ),
    "signing-keys": Command(
        "app.terminal.signing_keys:signing_keys",
        "The keys that results are attested with.",
        _KEYS,
    ),
    "version": Command("app.terminal.parts:version", "Print the version.", _RUN),
}


class _Commands(LazyGroup):
    table = COMMANDS


cli = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Sanitize LoRA adapters: project them onto the alignment subspace of their model.",
)


@cli.callback()
def _all() -> None:
    """Without it the group would have no command of its own to be made of."""


def main() -> None:
    if isinstance(sys.stdout, TextIOWrapper):  # else what stderr says comes before it in a pipe
        sys.stdout.reconfigure(line_buffering=True)
    cli(prog_name="safelora-gate")


if __name__ == "__main__":
    main()
