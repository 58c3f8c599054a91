"""What the API tells Prometheus."""

from typing import Annotated

from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from app.access.callers import Caller, caller_with
from core.observing.api import ApiMetrics
from core.scopes import METRICS

_EXAMPLE = """\
# HELP safelora_queue_up 1 if Redis answered this scrape, else 0
# TYPE safelora_queue_up gauge
safelora_queue_up 1.0
"""

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}}}
    },
    summary="What Prometheus reads",
)
def metrics(request: Request, _: Annotated[Caller, Depends(caller_with(METRICS))]) -> Response:
    """In Prometheus's text format. The queue is asked for it; while Redis is away the rest is told
    all the same."""
    told: ApiMetrics = request.app.state.metrics
    return Response(told.scraped(), media_type=CONTENT_TYPE_LATEST)
