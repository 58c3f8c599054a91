"""`safelora-gate doctor`: what is wrong with a gate, and what to do about it."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app.doctor.check import Check
from app.doctor.environment import invalid_settings
from app.doctor.examination import examine
from app.terminal.output import AsJson, print_json, using, wrong
from app.terminal.stack import Layout
from core.exit_codes import FAILED
from core.findings import printable
from core.settings import SettingsInvalid, load_settings


def doctor(
    data: Annotated[
        Path | None, typer.Option(help="folder of `safelora-gate up`, instead of the settings'")
    ] = None,
    json: AsJson = False,
) -> None:
    """Look at everything that a gate needs, and say what is wrong and what to do.

    With the settings of the environment (SAFELORA_…), on this machine. What it puts into the store
    it takes away again. Exit code 0 nothing failed, 1 something did, 2 wrong arguments.
    """
    if data is not None and not Layout(data).logs.is_dir():
        wrong(f"{data} is no folder of `safelora-gate up`: start that once, or mend --data")
    checks = []
    with using(data):
        for check in _checks(data):
            checks.append(check)
            if not json:
                _print(check)
    failures = sum(check.state == "failed" for check in checks)
    if json:
        print_json({"ok": not failures, "checks": [asdict(check) for check in checks]})
    else:
        warnings = sum(check.state == "warning" for check in checks)
        sys.stdout.write(f"{len(checks)} checks, {warnings} warnings, {failures} failed\n")
    if failures:
        raise typer.Exit(FAILED)


def _checks(data: Path | None) -> Iterator[Check]:
    try:
        settings = load_settings()
    except SettingsInvalid as error:
        yield from invalid_settings(error)
        return
    yield from examine(settings if data is None else Layout(data).settings(settings))


def _print(check: Check) -> None:
    sys.stdout.write(f"{check.state:<8} {check.name:<22} {printable(check.found)}\n")
    if check.do:
        sys.stdout.write(f"{'':<31} {printable(check.do)}\n")
