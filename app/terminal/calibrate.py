"""`safelora-gate calibrate`: a setting proposed from adapters that the operator has."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.terminal.calibrating import (
    AdapterRefused,
    Folder,
    Laboratory,
    find_folders,
    ready_alignment,
)
from app.terminal.gates import HERE, AllowHttp, Key, Url, open_gate, told
from app.terminal.output import FAILED, Show, bar, fail, wrong
from core.alignments import NAME_PATTERN
from core.calibration.knobs import KnobName, first_knob, knob_of
from core.calibration.measured import Measured
from core.calibration.record import CalibratedAlignment, Calibration, compare
from core.floor import below_floor
from core.policy import MethodName, Policy
from core.render.calibration import calibration_svg, print_calibration
from core.render.terminal import finding_text
from safelora import Gate


def calibrate(
    alignment: Annotated[str, typer.Argument(help="a ready alignment, by its name")],
    benign: Annotated[
        list[Path],
        typer.Option(help="an adapter that should be kept, or a folder of them; repeatable"),
    ],
    hostile: Annotated[
        list[Path],
        typer.Option(help="an adapter that should lose, or a folder of them; repeatable"),
    ],
    method: Annotated[MethodName, typer.Option(help="safe_lora or complement")] = "safe_lora",
    by: Annotated[
        KnobName | None, typer.Option(help="what is turned; the method's first if not given")
    ] = None,
    keep: Annotated[
        float, typer.Option(help="least share of its norm that each benign update keeps")
    ] = 0.95,
    output: Annotated[
        Path | None, typer.Option(help="folder for the results; calibration-ALIGNMENT if not given")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="make the proposal the alignment's default policy")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="with --write: even if it is not recommended")
    ] = False,
    url: Url = HERE,
    key: Key = None,
    allow_http: AllowHttp = False,
) -> None:
    """Score your own adapters and propose a setting, with the trade-off as a picture.

    Exit code 0 compared, or written; 1 an adapter was rejected, the gate failed, or --write of what
    is not recommended; 2 wrong arguments. The key needs the scope jobs, and alignments for --write.
    Nothing shows an adapter to be harmless.
    """
    try:
        folders = [*find_folders(benign, "benign"), *find_folders(hostile, "hostile")]
        _check(alignment, method, by, keep, write=write, force=force)
    except (ValueError, OSError) as error:
        wrong(str(error))
    target = output or Path(f"calibration-{alignment}")
    stopped = "stopped; what was scored is kept by the gate, which goes on scoring"
    try:
        with told(stopped), open_gate(url, key, allow_http=allow_http) as gate:
            gate.version()  # a gate that is not there is not waited for
            calibration, default = _compared(gate, alignment, folders, method, by, keep)
            width = None if sys.stdout.isatty() else 160
            print_calibration(calibration, Console(highlight=False, width=width))
            _save(calibration, target)
            if write:
                _write(gate, calibration, default, force=force)
    except OSError as error:
        wrong(f"{error.filename or target} cannot be used: {error.strerror}")


def _check(
    alignment: str,
    method: MethodName,
    by: KnobName | None,
    keep: float,
    *,
    write: bool,
    force: bool,
) -> None:
    """Raises `ValueError` for what no gate need be asked about."""
    if not re.fullmatch(NAME_PATTERN, alignment):
        raise ValueError("the alignment's name has small letters, digits and . _ - alone")
    if not 0.0 < keep <= 1.0:
        raise ValueError("--keep is above 0 and at most 1")
    if force and not write:
        raise ValueError("--force goes with --write: without it nothing is written to the gate")
    knob_of(method, by, Policy(), 1)


def _compared(
    gate: Gate,
    name: str,
    folders: list[Folder],
    method: MethodName,
    by: KnobName | None,
    keep: float,
) -> tuple[Calibration, Policy]:
    """The comparison, and the alignment's default policy as it is."""
    found = ready_alignment(gate, name)
    knob = knob_of(method, by, found.default_policy, found.rank)
    with bar(f"scoring {len(folders)} adapters") as show:
        adapters = _measured(Laboratory(gate, found), folders, knob.probes, show)
    calibration = compare(
        CalibratedAlignment(name=found.name, id=found.id or ""),
        knob,
        adapters,
        method=method,
        by=by or first_knob(method) or "threshold",
        keep=keep,
    )
    return calibration, found.default_policy


def _save(calibration: Calibration, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "calibration.json": calibration.as_bytes(),
        "calibration.svg": calibration_svg(calibration),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
        sys.stdout.write(f"{folder / name}\n")


def _write(gate: Gate, calibration: Calibration, before: Policy, *, force: bool) -> None:
    name = calibration.alignment.name
    if calibration.proposal is None or not (calibration.recommended or force):
        advice = "nothing is proposed" if calibration.proposal is None else "--force writes it"
        sys.stderr.write(
            f"error [not_recommended]: the default policy of {name} is as it was: see above;"
            f" {advice}\n"
        )
        raise typer.Exit(FAILED)
    policy = calibration.proposal.policy
    gate.set_policies(name, default_policy=policy.as_json())
    sys.stdout.write(f"this is now the default policy of {name}\n")
    if weaker := below_floor(policy, before):
        sys.stderr.write(
            "warning [weaker_than_before]: than the default policy before it, or not comparable, in"
            f" {', '.join(weaker)}\n"
        )


def _measured(
    laboratory: Laboratory, folders: list[Folder], probes: Sequence[Policy], show: Show
) -> list[Measured]:
    """A rejected adapter ends the command, after its findings."""
    try:
        return laboratory.measure(folders, probes, show)
    except AdapterRefused as error:
        _list_findings(error)
        fail(error)


def _list_findings(error: AdapterRefused) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for found in error.findings:
        console.print(finding_text(found))
