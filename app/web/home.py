"""The first page: an adapter is posted here, and the jobs are listed."""

from typing import Annotated, Literal

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from app.listing import jobs_page
from app.services import Served
from app.web.pages import page
from app.web.routing import WithJobs, page_router
from core.jobs import JOB_ID_PATTERN, JobState
from core.render.words import LIMITS
from core.tenant_limits import upload_limit

_ON_A_PAGE = 20

router = page_router()


@router.get("/")
def home(
    request: Request,
    services: Served,
    caller: WithJobs,
    state: JobState | Literal[""] = "",
    alignment: str = "",
    cursor: Annotated[str | None, Query(pattern=JOB_ID_PATTERN)] = None,
) -> Response:
    jobs = jobs_page(
        services,
        caller.tenant,
        state=state or None,
        alignment=alignment or None,
        limit=_ON_A_PAGE,
        cursor=cursor,
    )
    return page(
        request,
        "home.html",
        alignments=list(services.records.alignments()),
        limits=LIMITS,
        limit=upload_limit(services.settings, caller.tenant),
        jobs=jobs,
        states=list(JobState),
        state=state,
        alignment=alignment,
        cursor=cursor,
    )
