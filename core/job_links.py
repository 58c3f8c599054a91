"""Where a job and what it left are to be seen: the same wherever it is told."""

from core.jobs import Commit
from core.store.layout import ADAPTER_MODEL, ATTESTATION


def has_adapter(commit: Commit | None) -> bool:
    """Whether a sanitized adapter was published."""
    return commit is not None and commit.file(ADAPTER_MODEL) is not None


def job_links(job_id: str, commit: Commit | None) -> dict[str, str]:
    """Paths of the API by what lies there: `self`, and what the job has of `report`, `adapter` and
    `attestation`."""
    own = f"/v1/jobs/{job_id}"
    links = {"self": own}
    if commit is not None:
        links["report"] = f"{own}/report"
    if has_adapter(commit):
        links["adapter"] = f"{own}/adapter"
    if commit is not None and commit.file(ATTESTATION) is not None:
        links["attestation"] = f"{own}/attestation"
    return links
