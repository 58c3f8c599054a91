"""A tenant's jobs, a page at a time."""

import logging

from app.services import Services
from app.views import JobList, JobView, Snapshot, job_view, snapshot
from core.errors import RecordUnreadable
from core.jobs import JobState

_SCANNED = 200  # jobs looked at for one page, whatever fits

_log = logging.getLogger(__name__)


def jobs_page(
    services: Services,
    tenant: str,
    *,
    state: JobState | None = None,
    alignment: str | None = None,
    limit: int,
    cursor: str | None = None,
) -> JobList:
    """Newest first, those older than job `cursor` if given. With a filter a page may hold fewer
    than `limit`, and still have a next one."""
    found: list[JobView] = []
    job_ids = services.records.job_ids(tenant, after=cursor or "")
    for scanned, job_id in enumerate(job_ids, start=1):
        seen = _seen(services, tenant, job_id, alignment)
        if seen is not None and state in (None, seen.state):
            found.append(job_view(seen))
        if len(found) == limit or scanned == _SCANNED:
            return JobList(jobs=found, next_cursor=job_id)
    return JobList(jobs=found, next_cursor=None)


def _seen(services: Services, tenant: str, job_id: str, alignment: str | None) -> Snapshot | None:
    """The job as it is, if it was posted for this alignment; any will do if None."""
    try:
        job = services.records.request(tenant, job_id)
        if job is None or alignment not in (None, job.alignment.name):
            return None
        return snapshot(services, job)
    except RecordUnreadable as error:
        _log.error("left out of the list: %s", error)
        return None
