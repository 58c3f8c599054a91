"""`safelora-gate align`: a pair of checkpoints registered, and waited for."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.terminal.aligning import align as register_and_wait
from app.terminal.gates import HERE, AllowHttp, Key, Url, at_gate
from app.terminal.output import AsJson, bar, print_json, wrong
from app.terminal.parts import become
from core.alignments import DEFAULT_RANK, NAME_PATTERN, DtypeRule
from core.findings import printable


def align(
    name: Annotated[str, typer.Argument(help="what the alignment will be called")],
    base: Annotated[str, typer.Option(help="folder of the model before alignment")],
    aligned: Annotated[str, typer.Option(help="folder of the aligned model")],
    url: Url = HERE,
    key: Key = None,
    allow_http: AllowHttp = False,
    module: Annotated[
        list[str] | None, typer.Option(help="name suffix of modules to take; repeatable; else all")
    ] = None,
    base_name: Annotated[
        list[str] | None,
        typer.Option(help="base_model_name_or_path of adapters for this model; repeatable"),
    ] = None,
    dtype: Annotated[DtypeRule, typer.Option(help="how V is stored")] = "auto",
    rank: Annotated[
        int, typer.Option(help="singular directions to store", min=1, max=4096)
    ] = DEFAULT_RANK,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="print what it would take, from headers on this machine, and stop"
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Register a pair of checkpoints on the gate's machine, and wait until it is built.

    Exit code 0 ready, 1 failed, 2 wrong arguments. What is interrupted goes on at the gate; the
    same command again waits for it.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        wrong("the alignment's name has small letters, digits and . _ - alone, as tiny-chat")
    if dry_run:
        wanted = [f"--base={base}", f"--aligned={aligned}", f"--rank={rank}"]
        wanted += [f"--module={suffix}" for suffix in module or []]
        become("worker.alignment.dry_run", *wanted, *["--json"] * json)
    order = {
        "name": name,
        "base": _absolute(base),
        "aligned": _absolute(aligned),
        "modules": module or None,
        "base_names": base_name or [],
        "dtype": dtype,
        "rank": rank,
    }
    goes_on = f"the gate goes on building {name}; {_how_to_stop(url, name)}"
    with (
        at_gate(url, key, allow_http=allow_http, interrupted=goes_on) as gate,
        bar(f"alignment {name}") as show,
    ):
        built = register_and_wait(gate, order, show)
    for warning in built.warnings:
        sys.stderr.write(f"warning [{warning.code}]: {printable(warning.message)}\n")
    if json:
        print_json(built.model_dump(mode="json", exclude_unset=True))
    else:
        sys.stdout.write(f"{name} is ready: {built.id}\n")


def _absolute(source: str) -> str:
    """A gate on this machine looks at folders from its own place, not from the caller's."""
    return str(Path(source).absolute()) if Path(source).is_dir() else source


def _how_to_stop(url: str, name: str) -> str:
    place = f"{url.rstrip('/')}/v1/alignments/{name}"
    return f'to stop it: curl -H "Authorization: Bearer $SAFELORA_KEY" -X DELETE {place}'
