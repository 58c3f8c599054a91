"""What a receiver is told: made from what the store holds, and from nothing else, so that the same
end is always told in the same bytes."""

from typing import cast

from core.canonical import Json, canonical_json
from core.job_links import job_links
from core.jobs import JobRequest, JobResult
from core.webhooks.endpoints import EventType


def event_of(result: JobResult) -> EventType:
    return cast(EventType, f"job.{result.state}")


def payload(request: JobRequest, result: JobResult) -> bytes:
    """The body, in the form of Standard Webhooks. It holds no secret and no key of the store."""
    commit = result.commit
    findings = commit.findings if commit else result.findings
    total = commit.findings_total if commit else len(result.findings)
    data: Json = {
        "id": request.id,
        "state": result.state,
        "verdict": commit.verdict if commit else None,
        "alignment": {"name": request.alignment.name, "id": request.alignment.id},
        "summary": cast(Json, commit.summary.model_dump(mode="json")) if commit else None,
        "findings": list(dict.fromkeys(finding.code for finding in findings)),
        "findings_total": total,
        "error": cast(Json, result.error.model_dump(mode="json")) if result.error else None,
        "metadata": request.metadata,
        "source": request.source,
        "destination": request.destination,
        "retry_of": request.retry_of,
        "from_earlier_result": result.from_earlier_result,
        "created_at": request.created_at,
        "finished_at": result.finished_at,
        "links": cast(Json, job_links(request.id, commit)),
    }
    return canonical_json({"type": event_of(result), "timestamp": result.finished_at, "data": data})
