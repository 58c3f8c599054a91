"""`safelora-gate calibrate`: a setting proposed from adapters that the operator has."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from app.terminal.calibrating import (
    AdapterRefused,
    Folder,
    Laboratory,
    find_folders,
    ready_alignment,
)
from app.terminal.gates import HERE, AllowHttp, Key, Url, at_gate
from app.terminal.output import AsJson, Show, bar, fail, on_stderr, on_stdout, using, wrong
from core.alignments import NAME_PATTERN
from core.calibration.knobs import KnobName, first_knob, knob_of
from core.calibration.measured import Measured
from core.calibration.record import CalibratedAlignment, Calibration, compare
from core.errors import GateError
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
    json: AsJson = False,
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
    with (
        using(target),
        at_gate(url, key, allow_http=allow_http, interrupted=stopped) as gate,
    ):
        gate.version()  # a gate that is not there is not waited for
        calibration, default = _compared(gate, alignment, folders, method, by, keep)
        saved = _save(calibration, target)
        if json:
            sys.stdout.write(calibration.as_bytes().decode())
        else:
            print_calibration(calibration, on_stdout())
            sys.stdout.writelines(f"{path}\n" for path in saved)
        if write:
            _write(gate, calibration, default, force=force, json=json)


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


def _save(calibration: Calibration, folder: Path) -> list[Path]:
    """The files that it lies in."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        folder / "calibration.json": calibration.as_bytes(),
        folder / "calibration.svg": calibration_svg(calibration),
    }
    for path, data in files.items():
        path.write_bytes(data)
    return list(files)


def _write(
    gate: Gate, calibration: Calibration, before: Policy, *, force: bool, json: bool
) -> None:
    name = calibration.alignment.name
    if calibration.proposal is None or not (calibration.recommended or force):
        advice = "nothing is proposed" if calibration.proposal is None else "--force writes it"
        raise GateError(
            f"the default policy of {name} is as it was: see above; {advice}",
            code="not_recommended",
        )
    policy = calibration.proposal.policy
    gate.set_policies(name, default_policy=policy.as_json())
    if not json:
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
    console = on_stderr()
    for found in error.findings:
        console.print(finding_text(found))
