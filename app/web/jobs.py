"""The page of one job: how it fares, what came of it, and what another threshold would choose."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.intake.again import SCHEME, is_again
from app.services import Served
from app.views import find_job, job_view, snapshot
from app.web.pages import page
from app.web.results import shown_report
from app.web.routing import WithJobs, page_router
from core.jobs import Commit, JobRequest, JobState
from core.policy import Policy, Threshold
from core.render.html import report_body
from core.render.terminal import REASONS
from core.report import FileFacts, Report
from core.scopes import POLICY_OVERRIDE
from core.store import layout

STAGES: Final = (
    "queued",
    "fetch",
    "check",
    "read",
    "align",
    "score",
    "project",
    "write",
    "verify",
    "publish",
)
_FILES: Final = (layout.ADAPTER_MODEL, layout.ADAPTER_CONFIG, layout.ATTESTATION)

router = page_router()


@router.get("/jobs/{job_id}")
def job(request: Request, services: Served, caller: WithJobs, job_id: str) -> Response:
    seen = snapshot(services, find_job(services, caller.tenant, job_id))
    shown = shown_report(services, caller, seen.result)
    report = shown.report
    return page(
        request,
        "job.html",
        job=job_view(seen),
        origin=_origin(seen.request),
        lacking=shown.lacking,
        report=report,
        body=None if report is None else report_body(report),
        what_if=None if report is None else _threshold_to_try(seen.request.policy, report),
        reasons=REASONS,
        may_go_below=POLICY_OVERRIDE in caller.scopes,
        files=_files(seen.result.commit if seen.result else None),
        stages=STAGES,
        is_retryable=seen.state in (JobState.FAILED, JobState.CANCELLED),
    )


def _origin(job: JobRequest) -> str | None:
    """The job that this one does again, or whose input it has."""
    return job.retry_of or (job.source.removeprefix(SCHEME) if is_again(job.source) else None)


def _threshold_to_try(policy: Policy, report: Report) -> Threshold | None:
    """Where the slider begins; None where there is no cosine to choose by."""
    if report.verdict == "rejected" or report.summary.cosine_min is None:
        return None
    return policy.selection if isinstance(policy.selection, Threshold) else Threshold()


def _files(commit: Commit | None) -> list[FileFacts]:
    """Those of the adapter, one by one."""
    if commit is None or commit.file(layout.ADAPTER_MODEL) is None:
        return []
    return [facts for name in _FILES if (facts := commit.file(name)) is not None]
