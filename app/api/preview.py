"""What another selection would choose, told from the scores of a job that has ended."""

from fastapi import APIRouter
from pydantic import ValidationError, model_validator
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.access.callers import Caller, JobsCaller
from app.bodies import read_json
from app.description.answers import JSON_BODY, problems
from app.description.openapi import PREVIEW_BODY
from app.intake.again import standing_alignment
from app.intake.order import invalid
from app.outcomes import report_of, result_of
from app.services import Served, Services
from app.views import View
from core.errors import Conflict
from core.floor import below_floor
from core.jobs import AlignmentRef
from core.model import Frozen
from core.policy import Policy, Selection, parse_policy, with_mode
from core.preview import preview
from core.report import ModuleRow, Report, Summary, Verdict
from core.selection import Choice, Reason
from core.store.base import ObjectMissing

_MAX_JSON = 64 * 2**10

router = APIRouter(prefix="/v1/jobs", tags=["results"])


class PreviewOrder(Frozen):
    """The JSON body of `POST /v1/jobs/{job_id}/preview`: all else of the policy stays."""

    selection: Selection

    @model_validator(mode="before")
    @classmethod
    def _fill_mode(cls, data: object) -> object:
        return with_mode(data)


class PreviewModule(View):
    """As in the report."""

    name: str
    projected: bool
    borderline: bool
    reason: Reason


class PreviewView(View):
    """`policy` is what to post a job with to have it so (`source`: `job:` and the id); where that
    is weaker than the alignment's floor, `below_floor` names the fields. `modules` are in the
    report's order."""

    policy: Policy
    verdict: Verdict
    summary: Summary
    modules: list[PreviewModule]
    below_floor: list[str]


@router.post(
    "/{job_id}/preview",
    response_model=PreviewView,
    responses=problems(
        *("job_not_found", "job_not_finished", "job_failed", "job_cancelled", "result_expired"),
        *("no_scores", "report_outdated", "alignment_removed", "policy_invalid", *JSON_BODY),
    ),
    openapi_extra=PREVIEW_BODY,
    summary="What another selection would choose",
)
async def post_preview(
    request: Request, services: Served, caller: JobsCaller, job_id: str
) -> PreviewView:
    """From the scores in the job's report, by the rule that a run goes by; nothing is stored.

    A run may still refuse what cannot be told from them: an update that projecting makes larger
    than the cap.
    """
    report = await run_in_threadpool(_scored, services, caller, job_id)
    body = await read_json(request, _MAX_JSON)
    try:
        order = PreviewOrder.model_validate(body)
    except ValidationError as error:
        raise invalid(error, root="body", code="validation_failed") from error
    return await run_in_threadpool(_previewed, services, report, order)


def _previewed(services: Services, report: Report, order: PreviewOrder) -> PreviewView:
    selection = order.selection.model_dump(mode="json", exclude_none=True)
    policy = parse_policy({**report.policy.as_json(), "selection": selection})
    judged = report.alignment
    assert judged is not None  # noqa: S101  (what was scored was scored by one)
    record = standing_alignment(services, AlignmentRef(name=judged.name or "", id=judged.id))
    try:
        manifest = services.manifests.get(judged.id)
    except ObjectMissing as error:
        raise Conflict(
            "the alignment that judged this job was removed: post the adapter again, to another",
            code="alignment_removed",
        ) from error
    seen = preview(report, policy, manifest)
    return PreviewView(
        policy=policy,
        verdict=seen.verdict,
        summary=seen.summary,
        modules=[
            _module(row, choice) for row, choice in zip(report.modules, seen.choices, strict=True)
        ],
        below_floor=below_floor(policy, record.effective_floor),
    )


def _scored(services: Services, caller: Caller, job_id: str) -> Report:
    """Raises `NotFound`, `Gone` or `Conflict`."""
    report = report_of(services, caller, result_of(services, caller, job_id))
    if not report.modules:
        raise Conflict(
            "the adapter was rejected before it was scored: see the job's findings",
            code="no_scores",
        )
    return report


def _module(row: ModuleRow, choice: Choice) -> PreviewModule:
    return PreviewModule(
        name=row.name,
        projected=choice.projected,
        borderline=choice.borderline,
        reason=choice.reason,
    )
