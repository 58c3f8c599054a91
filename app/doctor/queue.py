"""Who is there to work, what waits, and what went wrong lately."""

import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from app.doctor.check import Check, failed, ok, warning
from core.errors import RecordUnreadable
from core.jobs import JobState, created_ms
from core.queue import JobQueue
from core.queue_state import queue_state
from core.records import Records
from core.store import layout
from core.webhooks.endpoints import Endpoints
from core.webhooks.outbox import now_ms

LONG_SECONDS = 15 * 60
LOOKED_AT = 200
"""Jobs of the last day, the newest of each tenant."""
_DAY = 24 * 3600
_OVERDUE_MS = 5 * 60 * 1000


def queue_checks(queue: JobQueue) -> Iterator[Check]:
    """Raises `QueueError`."""
    state = queue_state(queue)
    workers = state.workers["idle"] + state.workers["busy"]
    if workers:
        yield ok("workers", f"{workers}, {state.workers['busy']} of them at work")
    else:
        do = "start one: safelora-gate worker; its log says why if it does not stay"
        yield failed("workers", "none has been heard of", do)
    if state.courier:
        yield ok("courier", "one is there")
    else:
        do = "start one: safelora-gate courier. Lost jobs are queued again and callers told by it"
        yield failed("courier", "none has been heard of", do)
    waiting = state.jobs["queued"] + state.jobs["held"]
    found = f"{waiting} wait, {state.jobs['running']} run"
    if waiting:
        found += f"; the oldest waits for {state.oldest_seconds / 60:.0f} min"
    if waiting >= queue.settings.max_depth:
        yield failed("jobs", f"{found}: no other is accepted", "start workers")
    elif state.oldest_seconds > LONG_SECONDS:
        yield warning("jobs", found, "start workers, or see what keeps those there are")
    else:
        yield ok("jobs", found)


def failure_checks(records: Records) -> Iterator[Check]:
    """Of the last day. Raises `StoreError`."""
    seen, codes, last = 0, Counter[str](), ""
    for tenant in records.store.folders(layout.tenants()):
        for job_id in _of_last_day(records, tenant):
            seen += 1
            try:
                result = records.result(tenant, job_id)
            except RecordUnreadable as error:
                yield failed("failed jobs", error.message, "restore the record, or remove it")
                continue
            if result is not None and result.state is JobState.FAILED:
                codes[result.error.code if result.error else "unknown"] += 1
                last = last or f"{job_id} of tenant {tenant}"
    if not codes:
        yield ok("failed jobs", f"none of {seen} of the last day")
        return
    counted = ", ".join(f"{count} {code}" for code, count in codes.most_common())
    found = f"{codes.total()} of {seen} of the last day: {counted}; as {last}"
    yield warning(
        "failed jobs", found, "look each code up in docs/errors.md; the worker's log has the ids"
    )


def _of_last_day(records: Records, tenant: str) -> Iterator[str]:
    for job_id in islice(records.job_ids(tenant), LOOKED_AT):
        try:
            made = created_ms(job_id) / 1000
        except ValueError:  # nothing of the gate's
            continue
        if time.time() - made > _DAY:
            return
        yield job_id


def webhook_checks(records: Records, *, enabled: bool) -> Iterator[Check]:
    """Raises `StoreError`."""
    name = "webhooks"
    overdue = sum(1 for tenant in records.outbox.tenants() if _is_overdue(records, tenant))
    if overdue and not enabled:
        do = "set SAFELORA_WEBHOOKS__ENABLED=true for the courier"
        yield warning(name, f"switched off, and {overdue} tenants wait to be told", do)
    elif overdue:
        do = "see the courier's log; start another courier if one does not keep up"
        yield warning(name, f"{overdue} tenants have waited for minutes to be told", do)
    else:
        yield ok(name, "nobody waits to be told")
    if off := list(_switched_off(records)):
        do = "ask the tenant; PATCH /v1/webhooks/{id} with enabled true switches one on again"
        yield warning("webhook endpoints", f"switched off: {', '.join(off)}", do)


def _switched_off(records: Records) -> Iterator[str]:
    for tenant in records.store.folders(layout.tenants()):
        for endpoint in Endpoints(records.store, tenant).all():
            if not endpoint.settings.enabled:
                yield f"{endpoint.id} of tenant {tenant}"


def _is_overdue(records: Records, tenant: str) -> bool:
    return next(records.outbox.due(tenant, now_ms() - _OVERDUE_MS), None) is not None
