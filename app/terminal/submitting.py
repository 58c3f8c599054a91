"""An adapter submitted over HTTP, followed and brought back: what `safelora-gate submit` does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from app.terminal.output import Show
from core.canonical import parse_json_strictly
from core.errors import AdapterRejected
from core.findings import Finding
from core.report import Report
from core.store.layout import REPORT_JSON
from safelora import Finding as Found
from safelora import Gate, Job, Progress, RequestRefused, UsageError

_FINDING: TypeAdapter[Finding | Found] = TypeAdapter(
    Annotated[Finding | Found, Field(union_mode="left_to_right")]
)


def source_of(given: Sequence[str]) -> str | list[str]:
    """What was named on the command line, as the client takes it."""
    return given[0] if len(given) == 1 else list(given)


def policy_of(given: str | None) -> dict[str, Any] | None:
    """From JSON, or a file of it. Raises `UsageError`; what it means is the gate's to say."""
    if given is None:
        return None
    inline = given.lstrip().startswith("{")
    try:
        policy = parse_json_strictly(given.encode() if inline else Path(given).read_bytes())
    except OSError as error:
        raise UsageError(
            f'--policy {given}: {error.strerror}; give JSON, as \'{{"method": "zero"}}\', or a file'
            " that holds it"
        ) from error
    except ValueError as error:
        where = "" if inline else f" {given}"
        raise UsageError(f"--policy{where} is not JSON: {error}") from error
    if not isinstance(policy, dict):
        raise UsageError("--policy is no JSON object")
    return policy


def metadata_of(given: Sequence[str]) -> dict[str, str]:
    """From `name=text`. Raises `UsageError`."""
    pairs = [each.partition("=") for each in given]
    if any(not (name and sign) for name, sign, _ in pairs):
        raise UsageError("--metadata is given as name=text, as --metadata run=ft-1")
    return {name: text for name, _, text in pairs}


def check_output(folder: Path | None) -> None:
    """Raises `UsageError` for what would be written over."""
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--output {folder} exists and is not empty: give a new folder")


def follow(gate: Gate, job: Job, show: Show) -> Job:
    """The job once it has ended; calls `show` as it goes on."""
    if job.ended:
        return job
    for event in gate.events(job):
        if event.progress is not None:
            show(event.progress.done, event.progress.total, event.progress.stage)
        elif event.job is not None:
            job = event.job
            at = job.progress or Progress(stage=job.state)
            show(at.done, at.total, at.stage)
    return job if job.ended else gate.wait(job)


def report_of(gate: Gate, job: Job) -> tuple[bytes, Report | None]:
    """The report as it is, and as this version reads it: None for that of a newer gate."""
    data = gate.report_bytes(job)
    try:
        return data, Report.model_validate_json(data)
    except ValidationError:
        return data, None


def findings_of(error: RequestRefused) -> list[Finding | Found]:
    """What is wrong with the adapter itself, where the gate saw that while it arrived; as this
    version knows it, or else as a newer gate says it."""
    if error.code != AdapterRejected.code:
        return []
    return [_FINDING.validate_python(found) for found in error.problem.get("findings", [])]


def bring(gate: Gate, job: Job, report: bytes, folder: Path) -> None:
    """The report, and beside it the adapter with its attestation, if there is one. Raises
    `OSError` too."""
    if job.published:
        gate.download(job, folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT_JSON).write_bytes(report)


def as_json(job: Job) -> Any:
    """As the gate said it."""
    return job.model_dump(mode="json", exclude_unset=True)
