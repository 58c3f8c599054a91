"""`safelora-gate submit`: one adapter, posted, followed and brought back."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.terminal.gates import HERE, AllowHttp, Key, Url, at_gate, once_it_answers
from app.terminal.output import AsJson, bar, fail, on_stderr, on_stdout, print_json, using, wrong
from app.terminal.submitting import (
    as_json,
    bring,
    check_output,
    findings_of,
    follow,
    metadata_of,
    policy_of,
    report_of,
    source_of,
)
from core.exit_codes import REJECTED
from core.findings import Finding, printable
from core.render.terminal import finding_text, print_report, summary_line
from core.report import Report
from safelora import Finding as Found
from safelora import Gate, GateFailed, Job, RequestRefused


def submit(
    source: Annotated[
        list[str],
        typer.Argument(help="a folder, its .safetensors and .json, an archive, s3://…, or job:ID"),
    ],
    alignment: Annotated[
        str | None, typer.Option(help="by name; else the one of the adapter's base model")
    ] = None,
    policy: Annotated[str | None, typer.Option(help="JSON, or a file of it")] = None,
    output: Annotated[
        Path | None, typer.Option(help="folder for the sanitized adapter, new or empty")
    ] = None,
    destination: Annotated[
        str | None, typer.Option(help="s3://… that the gate brings the result to as well")
    ] = None,
    callback_url: Annotated[
        str | None, typer.Option(help="https://… that the gate tells how the job ended")
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(help="name=text to label the job with; repeatable")
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="print the job's id and stop")] = False,
    json: AsJson = False,
    url: Url = HERE,
    key: Key = None,
    allow_http: AllowHttp = False,
) -> None:
    """Post an adapter, follow its job, print its report, and bring the result here.

    Exit code 0 done; 3 the adapter is rejected, its findings on stderr and nothing written; 2 wrong
    arguments, or the gate does not take the request; 1 the job or the gate failed.
    """
    job: Job | None = None

    def how_to_go_on() -> str:
        if job is None:
            return "stopped before the gate had all of it"
        name = f"safelora-gate jobs {{}} {job.id}"
        return (
            f"the gate goes on with it; to see it: {name.format('show')}; to stop it:"
            f" {name.format('cancel')}"
        )

    if no_wait and output is not None:
        wrong("--output needs the result: leave --no-wait out")
    with (
        using(output),
        at_gate(url, key, allow_http=allow_http, interrupted=how_to_go_on) as gate,
    ):
        check_output(output)
        given = policy_of(policy)
        labels = metadata_of(metadata or [])
        gate.version()  # a gate that is not there is not waited for
        with _rejected_while_it_arrived(), bar("sending"):
            job = gate.submit(
                source_of(source),
                alignment=alignment,
                policy=given,
                destination=destination,
                callback_url=callback_url,
                metadata=labels or None,
            )
        if no_wait:
            _print_accepted(job, json=json)
            return
        with bar(f"job {job.id}") as show, once_it_answers(f"Job {job.id} is kept"):
            job = follow(gate, job, show)
        _end(gate, job, output, json=json)


@contextmanager
def _rejected_while_it_arrived() -> Iterator[None]:
    """Then there is no job, and the end is that of one that is rejected."""
    try:
        yield
    except RequestRefused as error:
        found = findings_of(error)
        if not found:
            raise
        _list_findings(found)
        sys.stderr.write(f"rejected: {len(found)} findings stop it\n")
        raise typer.Exit(REJECTED) from error


def _print_accepted(job: Job, *, json: bool) -> None:
    if json:
        print_json(as_json(job))
    else:
        sys.stdout.write(f"{job.id}\n")


def _end(gate: Gate, job: Job, output: Path | None, *, json: bool) -> None:
    if json:
        print_json(as_json(job))
    if job.state not in ("succeeded", "rejected"):
        why = f": {job.error.code}: {job.error.message}" if job.error else ""
        again = f"To do it again: safelora-gate jobs retry {job.id}"
        fail(GateFailed(f"job {job.id} {job.state}{why}", code=f"job_{job.state}"), again)
    data, report = report_of(gate, job)
    if job.state == "rejected":
        _list_report(job, report)
        raise typer.Exit(REJECTED)
    if not json:
        _print_report(job, report)
    if output is not None:
        bring(gate, job, data, output)
        if not job.published:
            sys.stderr.write("the policy only scores: there is a report, and no adapter\n")
        elif not json:
            sys.stdout.write(f"sanitized adapter: {output}\n")
    elif job.published and not json:
        command = f"safelora-gate jobs download {job.id} --output DIR"
        sys.stderr.write(f"to bring the sanitized adapter here: {command}\n")


def _print_report(job: Job, report: Report | None) -> None:
    if report is None:
        sys.stdout.write(f"{job.verdict}: the report is of another version: --json, or the gate\n")
        return
    print_report(report, on_stdout(), table_by=f"safelora-gate report {job.id} --table")


def _list_report(job: Job, report: Report | None) -> None:
    if report is None:
        _list_findings(job.findings)
        return
    _list_findings(report.findings)
    on_stderr().print(summary_line(report), markup=False)


def _list_findings(findings: Sequence[Found | Finding]) -> None:
    console = on_stderr()
    for found in findings:
        if isinstance(found, Finding):
            console.print(finding_text(found))
        else:
            words = f"{found.outcome} {found.code}: {found.kind} {found.subject} {found.detail}"
            sys.stderr.write(f"{printable(words)}\n")
