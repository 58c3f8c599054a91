"""`safelora-gate report`: what a report says, of a file or of a job."""

import json as jsonlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from app.terminal.gates import HERE, AllowHttp, Key, Url, at_gate
from app.terminal.output import AsJson, on_stdout, using, wrong
from core.canonical import parse_json_strictly
from core.jobs import JOB_ID_PATTERN
from core.render.terminal import print_heat_map, print_table
from core.render.terminal_heat import Measure
from core.report import SCHEMA, Report
from core.store.layout import REPORT_JSON


def report(
    source: Annotated[
        str, typer.Argument(metavar="FILE|JOB", help="a report.json, its folder, or a job's id")
    ],
    by: Annotated[
        Measure | None,
        typer.Option(help="what is drawn; the cosine if not given, or retained if there is none"),
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="a line for each module in place of the heat map")
    ] = False,
    json: AsJson = False,
    url: Url = HERE,
    key: Key = None,
    allow_http: AllowHttp = False,
) -> None:
    """Print a report: a heat map of its modules, a summary, and what was found.

    Exit code 0 printed, whatever the verdict is; 1 the gate failed; 2 wrong arguments. With --json
    the report as it is.
    """
    place = _file(Path(source))
    if place is not None:
        with using(place):
            data = place.read_bytes()
    else:
        _check_id(source)
        with at_gate(url, key, allow_http=allow_http) as gate:
            gate.version()
            data = gate.report_bytes(source)
    with _readable(str(place or source)):
        content = parse_json_strictly(data)
        if json:
            plain = sys.stdout.isatty()  # whoever wrote it, it moves no cursor
            sys.stdout.write(jsonlib.dumps(content, indent=1) if plain else data.decode())
            return
        parsed = Report.model_validate_json(data)
    if table:
        print_table(parsed, on_stdout())
    else:
        print_heat_map(parsed, on_stdout(), by)


def _file(path: Path) -> Path | None:
    """Of what is there on this machine."""
    if not path.is_dir():
        return path if path.exists() else None
    inside = path / REPORT_JSON
    if not inside.exists():
        wrong(
            f"{path} holds no {REPORT_JSON}", advice="`safelora-gate submit --output` writes one."
        )
    return inside


def _check_id(text: str) -> None:
    if not re.fullmatch(JOB_ID_PATTERN, text):
        wrong(
            f"{text} is no file, no folder, and no job's id",
            advice="`safelora-gate jobs list` has the ids of your jobs.",
        )


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Ends the command for what is no report, or one of another version."""
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        wrong(
            f"{name} is no report of this version ({SCHEMA}): {where} {first['msg']}",
            code="report_unreadable",
            advice="--json prints the report of another version as it is.",
        )
    except ValueError as error:
        wrong(f"{name} is not JSON: {error}", code="report_unreadable")
