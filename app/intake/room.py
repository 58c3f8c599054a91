"""Whether the queue takes another job: asked before a body is read."""

import logging
from typing import Final

from app.access.callers import Caller
from app.intake.idempotency import EventKey, standing_claim
from app.services import Services
from core.errors import QueueError, QueueFull

RETRY_SECONDS: Final = 30

_log = logging.getLogger(__name__)


def check_room(services: Services, caller: Caller, key: str | EventKey | None) -> None:
    """Raises `QueueFull` if as many jobs wait as may, unless `key` stands for one accepted before.

    That an earlier result would answer the request is no exception: only its bytes could tell, and
    a full queue must not cost an upload. A queue that cannot be asked is not full, for the store
    keeps the job. Uploads under way at once may pass the bound by as many. Blocks.
    """
    try:
        if services.queue.depth() < services.settings.queue.max_depth:
            return
    except QueueError as error:
        _log.debug("how many jobs wait is unknown: %s", error)
        return
    if key is not None and _stands(services, caller, key):
        return
    raise QueueFull(
        "as many jobs wait as this gate takes: send the same request again after the seconds that"
        " Retry-After says",
        retry_after=RETRY_SECONDS,
    )


def _stands(services: Services, caller: Caller, key: str | EventKey) -> bool:
    """A claim alone is not enough: its job may never have been stored."""
    claim = standing_claim(services.store, caller.tenant, key)
    return claim is not None and services.records.request(caller.tenant, claim.job_id) is not None
