"""Who is told how jobs ended: endpoints of tenants and the secret that all is signed with.

All of it blocks, and may raise `StoreError`.
"""

import logging
import re

from app.access.callers import Caller
from app.services import Services
from core.errors import Conflict, Forbidden, NotFound
from core.jobs import new_job_id
from core.webhooks.endpoints import (
    WEBHOOK_ID_PATTERN,
    Endpoint,
    Endpoints,
    EndpointSettings,
    EventType,
)
from core.webhooks.signing import Secret, Secrets
from core.webhooks.urls import Named, check_url

_HOUR_MS = 3_600_000
_log = logging.getLogger(__name__)


def check_enabled(services: Services) -> None:
    """Raises `Forbidden` (`webhooks_disabled`)."""
    if not services.settings.webhooks.enabled:
        raise Forbidden(
            "this gate tells nobody how jobs end: ask for the job with ?wait=30, or follow its"
            " events",
            code="webhooks_disabled",
        )


def check_receiver(services: Services, tenant: str, url: str, *, named: Named) -> None:
    """Raises `Unprocessable`, `Forbidden` or `Conflict` (`webhook_secret_missing`)."""
    check_enabled(services)
    check_url(url, services.settings.webhooks.allowed(), named=named)
    if not Secrets(services.store, tenant).exist():
        raise Conflict(
            "there is no webhook secret yet, and all that is told is signed with it: POST"
            " /v1/webhooks/secret once, keep what it shows, and send this again",
            code="webhook_secret_missing",
        )


def register(
    services: Services, caller: Caller, url: str, events: list[EventType] | None, *, enabled: bool
) -> Endpoint:
    """Raises what `check_receiver` does, and `Conflict` (`webhook_limit`)."""
    check_receiver(services, caller.tenant, url, named="webhook")
    endpoints = Endpoints(services.store, caller.tenant)
    most = services.settings.webhooks.endpoints
    if sum(1 for _ in endpoints.ids()) >= most:
        raise Conflict(
            f"there are {most} webhooks, as many as a tenant may have: remove one first",
            code="webhook_limit",
            limit=most,
        )
    made = endpoints.add(
        new_job_id(), EndpointSettings(url=url, events=events, enabled=enabled, disabled=None)
    )
    _log.info("webhook %s of tenant %s from key %s", made.id, caller.tenant, caller.key_id)
    return made


def find(services: Services, caller: Caller, webhook_id: str) -> Endpoint:
    """Raises `NotFound` for another tenant's too."""
    found = None
    if re.fullmatch(WEBHOOK_ID_PATTERN, webhook_id):
        found = Endpoints(services.store, caller.tenant).get(webhook_id)
    if found is None:
        raise _not_found()
    return found


def change(
    services: Services, caller: Caller, webhook_id: str, update: dict[str, object]
) -> Endpoint:
    """Raises `NotFound`, and what `check_receiver` does for another URL."""
    standing = find(services, caller, webhook_id).settings
    url = update.get("url", standing.url)
    if url != standing.url:
        check_receiver(services, caller.tenant, str(url), named="webhook")
    if update.get("enabled"):
        update = {**update, "disabled": None}
    changed = Endpoints(services.store, caller.tenant).change(
        webhook_id, standing.model_copy(update=update)
    )
    if changed is None:
        raise _not_found()
    return changed


def remove(services: Services, caller: Caller, webhook_id: str) -> None:
    """Raises `NotFound`."""
    find(services, caller, webhook_id)
    Endpoints(services.store, caller.tenant).remove(webhook_id)
    _log.info("webhook %s of tenant %s removed", webhook_id, caller.tenant)


def rotate(services: Services, caller: Caller, overlap_hours: float) -> Secret:
    """A new secret, which nobody is shown again."""
    overlap_ms = int(overlap_hours * _HOUR_MS)
    made = Secrets(services.store, caller.tenant).rotate(overlap_ms=overlap_ms)
    _log.info("tenant %s has a new webhook secret, from key %s", caller.tenant, caller.key_id)
    return made


def newest_secret(services: Services, caller: Caller, now_ms: int) -> tuple[Secret, int | None]:
    """And until when an earlier one signs too. Raises `NotFound` (`webhook_secret_missing`)."""
    secrets = Secrets(services.store, caller.tenant)
    signing = secrets.signing(now_ms)
    if not signing:
        raise NotFound(
            "there is no webhook secret yet: POST /v1/webhooks/secret makes one",
            code="webhook_secret_missing",
        )
    return signing[0], secrets.previous_until(now_ms)


def _not_found() -> NotFound:
    return NotFound("there is no such webhook: see /v1/webhooks", code="webhook_not_found")
