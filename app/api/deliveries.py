"""What came of telling how a job ended."""

import logging
import re

from fastapi import APIRouter
from pydantic import ConfigDict

from app.access.callers import JobsCaller
from app.description import webhooks as described
from app.description.webhook_examples import DELIVERY
from app.receivers import check_enabled
from app.services import Served
from app.views import View, find_job, moment
from core.errors import Conflict, NotFound
from core.webhooks.endpoints import EventType
from core.webhooks.outbox import DELIVERY_ID_PATTERN, Attempt, Delivery, DeliveryState, now_ms

_log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/jobs", tags=["webhooks"])


class DeliveryView(View):
    """`id` is the `webhook-id` of every attempt; `webhook_id` is null for the job's own callback.

    An attempt's `error` is null where the receiver took it, and else a code.
    """

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [DELIVERY]})

    id: str
    webhook_id: str | None
    type: EventType
    url: str
    state: DeliveryState
    attempts: list[Attempt]
    next_attempt_at: str | None


class DeliveryList(View):
    deliveries: list[DeliveryView]


@router.get(
    "/{job_id}/deliveries",
    response_model=DeliveryList,
    responses=described.DELIVERIES,
    summary="Who was told of a job's end",
)
def list_deliveries(services: Served, caller: JobsCaller, job_id: str) -> DeliveryList:
    """With every attempt, the last thirty of each. Empty until the job has ended."""
    job = find_job(services, caller.tenant, job_id)
    deliveries = services.records.outbox.of_job(job.tenant, job.id)
    return DeliveryList(deliveries=[_view(delivery) for delivery in deliveries])


@router.post(
    "/{job_id}/deliveries/{delivery_id}/replay",
    response_model=DeliveryView,
    status_code=202,
    responses=described.REPLAYED,
    summary="Tell it again",
)
def replay_delivery(
    services: Served, caller: JobsCaller, job_id: str, delivery_id: str
) -> DeliveryView:
    """The same message under the same id, at once, whether it was delivered or not; where that
    fails, all the retries follow once more."""
    check_enabled(services)
    job = find_job(services, caller.tenant, job_id)
    outbox = services.records.outbox
    standing = None
    if re.fullmatch(DELIVERY_ID_PATTERN, delivery_id):
        standing = outbox.get(job.tenant, job.id, delivery_id)
    if standing is None:
        raise NotFound(
            "the job has no such delivery: see the job's /deliveries", code="delivery_not_found"
        )
    moment_ms = now_ms()
    if standing.state == "pending" and standing.due_ms <= moment_ms:
        raise Conflict(
            "an attempt is about to be made, or under way: look at the delivery again in a minute",
            code="delivery_due",
        )
    again = standing.model_copy(update={"state": "pending", "due_ms": moment_ms, "in_a_row": 0})
    outbox.save(again, standing.mark)
    _log.info("delivery %s of job %s is made again: key %s", again.id, job.id, caller.key_id)
    return _view(again)


def _view(delivery: Delivery) -> DeliveryView:
    pending = delivery.state == "pending"
    return DeliveryView(
        id=delivery.id,
        webhook_id=delivery.webhook_id,
        type=delivery.event,
        url=delivery.url,
        state=delivery.state,
        attempts=delivery.attempts,
        next_attempt_at=moment(delivery.due_ms) if pending else None,
    )
