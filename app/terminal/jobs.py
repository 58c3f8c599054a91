"""`safelora-gate jobs`: what became of them, and steering them."""

import json as jsonlib
import sys
from itertools import islice
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.terminal.gates import HERE, AllowHttp, AsJson, Key, Url, open_gate, told
from app.terminal.submitting import as_json
from core.findings import printable
from safelora import Job

jobs = typer.Typer(no_args_is_help=True, help="See jobs, and steer them.")

JobId = Annotated[str, typer.Argument(help="a job's id")]
_STOPPED = "stopped"


@jobs.command("list")
def list_jobs(
    state: Annotated[str | None, typer.Option(help="only those in this state")] = None,
    alignment: Annotated[str | None, typer.Option(help="only those posted under this name")] = None,
    limit: Annotated[int, typer.Option(help="how many at most", min=1)] = 20,
    json: AsJson = False,
    url: Url = HERE,
    key: Key = None,
    allow_http: AllowHttp = False,
) -> None:
    """Your jobs, newest first."""
    with told(_STOPPED), open_gate(url, key, allow_http=allow_http) as gate:
        gate.version()
        found = list(islice(gate.jobs(state=state, alignment=alignment), limit))
    if json:
        dumped = [job.model_dump(mode="json", exclude_unset=True) for job in found]
        sys.stdout.write(f"{jsonlib.dumps(dumped, indent=1)}\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("job", "state", "verdict", "alignment", "created"):
        table.add_column(name, no_wrap=True)
    table.add_column("metadata", overflow="fold")
    for job in found:
        table.add_row(*(Text(printable(cell)) for cell in _row(job)))
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(table)


@jobs.command()
def show(
    job: JobId,
    json: AsJson = False,
    url: Url = HERE,
    key: Key = None,
    allow_http: AllowHttp = False,
) -> None:
    """One job, and what was found in its adapter."""
    with told(_STOPPED), open_gate(url, key, allow_http=allow_http) as gate:
        gate.version()
        found = gate.job(job)
    _print(found, json=json)


@jobs.command()
def cancel(
    job: JobId,
    json: AsJson = False,
    url: Url = HERE,
    key: Key = None,
    allow_http: AllowHttp = False,
) -> None:
    """Cancel a job that has not ended."""
    with told(_STOPPED), open_gate(url, key, allow_http=allow_http) as gate:
        found = gate.cancel(job)
    _print(found, json=json)


@jobs.command()
def retry(
    job: JobId,
    json: AsJson = False,
    url: Url = HERE,
    key: Key = None,
    allow_http: AllowHttp = False,
) -> None:
    """Do a failed or cancelled job again, as a new one."""
    with told(_STOPPED), open_gate(url, key, allow_http=allow_http) as gate:
        gate.version()
        found = gate.retry(job)
    _print(found, json=json)


@jobs.command()
def delete(job: JobId, url: Url = HERE, key: Key = None, allow_http: AllowHttp = False) -> None:
    """Take a job away that has ended, with its input."""
    with told(_STOPPED), open_gate(url, key, allow_http=allow_http) as gate:
        gate.version()
        gate.delete(job)
    sys.stdout.write(f"{printable(job)} is gone\n")


def _row(job: Job) -> tuple[str, ...]:
    return (
        job.id,
        job.state,
        job.verdict or "",
        job.alignment.name if job.alignment else "",
        job.created_at or "",
        " ".join(f"{name}={text}" for name, text in job.metadata.items()),
    )


def _print(job: Job, *, json: bool) -> None:
    if json:
        sys.stdout.write(f"{as_json(job)}\n")
        return
    names = ("job", "state", "verdict", "alignment", "created", "metadata")
    lines = list(zip(names, _row(job), strict=True))
    if job.progress:
        at = f"{job.progress.stage}, {job.progress.done} of {job.progress.total} modules"
        lines.append(("progress", at))
    if job.retry_of:
        lines.append(("retry of", job.retry_of))
    if job.error:
        lines.append(("error", f"{job.error.code}: {job.error.message}"))
    lines += [("finding", f"{f.outcome} {f.code}: {f.kind} {f.subject}") for f in job.findings]
    for name, text in lines:
        if text:
            sys.stdout.write(f"{name + ':':<11}{printable(text)}\n")
