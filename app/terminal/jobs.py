"""`safelora-gate jobs`: what became of them, and steering them."""

import re
import sys
from collections.abc import Iterator
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from app.terminal.gates import HERE, AllowHttp, Key, Url, at_gate, once_it_answers
from app.terminal.output import AsJson, bar, on_stdout, print_json, using
from app.terminal.submitting import as_json, check_output, follow
from core.findings import printable
from core.jobs import JobState
from core.store.layout import REPORT_JSON
from safelora import Job, Summary

STATES: Final = {
    "running": "cyan",
    "succeeded": "green",
    "rejected": "magenta",
    "failed": "red",
    "cancelled": "yellow",
}
"""Styles; of a newer gate's states none."""
ROOM_FOR_METADATA: Final = 100
_COLUMNS: Final = ("job", "state", "verdict", "alignment", "created", "metadata")

jobs = typer.Typer(
    no_args_is_help=True, add_completion=False, help="See jobs, steer them, bring their results."
)

JobId = Annotated[str, typer.Argument(metavar="JOB", help="a job's id")]


def _states() -> list[str]:
    return list(JobState)


@jobs.command("list")
def list_jobs(
    state: Annotated[
        str | None, typer.Option(help="only those in this state", autocompletion=_states)
    ] = None,
    alignment: Annotated[str | None, typer.Option(help="only those posted under this name")] = None,
    limit: Annotated[int, typer.Option(help="how many at most", min=1)] = 20,
    json: AsJson = False,
    url: Url = HERE,
    key: Key = None,
    allow_http: AllowHttp = False,
) -> None:
    """Your jobs, newest first."""
    with at_gate(url, key, allow_http=allow_http) as gate:
        gate.version()
        found = list(islice(gate.jobs(state=state, alignment=alignment), limit))
    if json:
        print_json([as_json(job) for job in found])
        return
    if not found:
        sys.stderr.write("there are no such jobs: `safelora-gate submit` makes one\n")
        return
    console = on_stdout()
    console.print(_table(found, with_metadata=console.width >= ROOM_FOR_METADATA))


@jobs.command()
def show(
    job: JobId,
    watch: Annotated[bool, typer.Option("--watch", help="until it has ended")] = False,
    json: AsJson = False,
    url: Url = HERE,
    key: Key = None,
    allow_http: AllowHttp = False,
) -> None:
    """One job, what was found in its adapter, and what to do next."""
    with at_gate(url, key, allow_http=allow_http) as gate:
        gate.version()
        found = gate.job(job)
        if watch:
            with bar(f"job {printable(job)}") as show_progress, once_it_answers("The job is kept"):
                found = follow(gate, found, show_progress)
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
    with at_gate(url, key, allow_http=allow_http) as gate:
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
    with at_gate(url, key, allow_http=allow_http) as gate:
        gate.version()
        found = gate.retry(job)
    _print(found, json=json)


@jobs.command()
def download(
    job: JobId,
    output: Annotated[Path, typer.Option(help="folder for the adapter, new or empty")],
    json: AsJson = False,
    url: Url = HERE,
    key: Key = None,
    allow_http: AllowHttp = False,
) -> None:
    """Bring a job's sanitized adapter here, with its report and attestation."""
    with at_gate(url, key, allow_http=allow_http) as gate:
        check_output(output)
        gate.version()
        with using(output):
            files = gate.download(job, output)
            (output / REPORT_JSON).write_bytes(gate.report_bytes(job))
    if json:
        print_json({"job": job, "files": [str(path) for path in (*files, output / REPORT_JSON)]})
    else:
        sys.stdout.write(f"sanitized adapter: {output}\n")


@jobs.command()
def delete(
    job: JobId,
    json: AsJson = False,
    url: Url = HERE,
    key: Key = None,
    allow_http: AllowHttp = False,
) -> None:
    """Take a job away that has ended, with its input."""
    with at_gate(url, key, allow_http=allow_http) as gate:
        gate.version()
        gate.delete(job)
    if json:
        print_json({"id": job, "deleted": True})
    else:
        sys.stdout.write(f"{printable(job)} is gone\n")


def _table(jobs: list[Job], *, with_metadata: bool) -> Table:
    """Ids are never cut: they are there to be copied."""
    names = [*_COLUMNS[:-1], *_COLUMNS[-1:] * with_metadata]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name not in ("alignment", "metadata"))
    for job in jobs:
        cells = [Text(printable(cell)) for cell in _row(job)[: len(names)]]
        cells[1].stylize(STATES.get(job.state, ""))
        table.add_row(*cells)
    return table


def _row(job: Job) -> tuple[str, ...]:
    return (
        job.id,
        job.state,
        job.verdict or "",
        job.alignment.name if job.alignment else "",
        _to_the_second(job.created_at or ""),
        " ".join(f"{name}={text}" for name, text in job.metadata.items()),
    )


def _to_the_second(time: str) -> str:
    """As one reads it: without a fraction."""
    return re.sub(r"\.\d+", "", time)


def _print(job: Job, *, json: bool) -> None:
    if json:
        print_json(as_json(job))
        return
    console = on_stdout()
    for name, text in _lines(job):
        if text:
            style = STATES.get(job.state, "") if name == "state" else ""
            head = f"{name + ':' if name else '':<11}"
            console.print(Text(head).append(printable(text), style), soft_wrap=True)


def _lines(job: Job) -> Iterator[tuple[str, str]]:
    yield from zip(_COLUMNS, _row(job), strict=True)
    if job.progress:
        at = f"{job.progress.stage}, {job.progress.done} of {job.progress.total} modules"
        yield "progress", at
    spent = sorted(job.timings.items(), key=itemgetter(1), reverse=True)
    yield "seconds", ", ".join(f"{stage} {seconds:.3f}" for stage, seconds in spent)
    yield "retry of", job.retry_of or ""
    if job.error:
        yield "error", f"{job.error.code}: {job.error.message}"
    if job.summary and job.verdict != "rejected":
        yield "summary", _summary(job.summary)
    for found in job.findings:
        yield "finding", f"{found.outcome} {found.code}: {found.kind} {found.subject}"
    head = "next"
    for command in _next(job):
        yield head, f"safelora-gate {command}"
        head = ""


def _summary(summary: Summary) -> str:
    kept = "" if summary.retained is None else f"; {summary.retained:.1%} of the norm is left"
    return f"{summary.projected} of {summary.modules} modules projected{kept}"


def _next(job: Job) -> Iterator[str]:
    """Commands that there is a use for now."""
    if not job.ended:
        yield f"jobs show {job.id} --watch"
        yield f"jobs cancel {job.id}"
    if "report" in job.links:
        yield f"report {job.id}"
    if job.published:
        yield f"jobs download {job.id} --output DIR"
    if job.state in (JobState.FAILED, JobState.CANCELLED):
        yield f"jobs retry {job.id}"
