"""What came of a job that has ended, and where its files lie. All of it blocks."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from app.access.callers import Caller
from app.services import Services
from app.views import find_job
from core.errors import Conflict, Gone
from core.job_links import has_adapter
from core.jobs import Commit, JobResult, JobState
from core.report import Report
from core.store import layout
from core.store.base import ObjectMissing


def _ended(services: Services, caller: Caller, job_id: str) -> JobResult:
    """Raises `NotFound`, or `Conflict` (`job_not_finished`)."""
    find_job(services, caller.tenant, job_id)
    result = services.records.result(caller.tenant, job_id)
    if result is None:
        raise Conflict(
            f"the job has not ended: ask /v1/jobs/{job_id}?wait=30", code="job_not_finished"
        )
    return result


def result_of(services: Services, caller: Caller, job_id: str) -> Commit:
    """The result of a job that has one, be it a rejection. Raises `NotFound` or `Conflict`."""
    result = _ended(services, caller, job_id)
    if result.commit is None:
        raise _without_result(result)
    return result.commit


def published(services: Services, caller: Caller, job_id: str) -> Commit:
    """The result of a job that published an adapter. Raises `NotFound` or `Conflict`."""
    commit = result_of(services, caller, job_id)
    if commit.state is JobState.REJECTED:
        raise Conflict(
            "the adapter was rejected, so there is none to download: see the job's findings",
            code="job_rejected",
            findings=commit.findings,
        )
    if not has_adapter(commit):
        raise Conflict(
            "the policy only scores, so no adapter was published: post the job again with another"
            " selection",
            code="no_adapter",
        )
    return _as_attested(services, caller, commit)


def report_of(services: Services, caller: Caller, commit: Commit) -> Report:
    """Raises `Gone` (`result_expired`), or `Conflict` (`report_outdated`)."""
    with unless_expired(services, caller, commit):
        content = services.store.get(place_of(caller, commit, layout.REPORT_JSON))
    try:
        return Report.model_validate_json(content)
    except ValidationError as error:
        raise Conflict(
            "the report is of another version of the gate, and is to be had as it is at"
            " report.json: for one of this version post the adapter again",
            code="report_outdated",
        ) from error


def _as_attested(services: Services, caller: Caller, commit: Commit) -> Commit:
    """The commit as it stands, if the same files were attested since by another key, or at all."""
    standing = services.records.committed(caller.tenant, commit.recipe)
    return standing if standing is not None and standing.output == commit.output else commit


@contextmanager
def unless_expired(services: Services, caller: Caller, commit: Commit) -> Iterator[None]:
    """Raises `Gone` (`result_expired`) for a file that went with its commit; one that is missing
    although the commit stands is a fault of the store."""
    try:
        yield
    except ObjectMissing as error:
        standing = services.records.committed(caller.tenant, commit.recipe)
        if standing is not None and standing.output == commit.output:
            raise
        raise Gone(
            "the result has expired: post the adapter again", code="result_expired"
        ) from error


def _without_result(result: JobResult) -> Conflict:
    if result.state is JobState.CANCELLED:
        return Conflict("the job was cancelled: retry it, or post it again", code="job_cancelled")
    why = f" ({result.error.code}: {result.error.message})" if result.error else ""
    return Conflict(f"the job failed{why}: retry it, or post it again", code="job_failed")


def place_of(caller: Caller, commit: Commit, filename: str) -> str:
    return layout.output(caller.tenant, commit.recipe, commit.output, filename)
