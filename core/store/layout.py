"""Every key name of the object store, in one place. The tenant is in every job key."""

from core.canonical import sha256_hex

ADAPTER_MODEL = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
MLX_MODEL = "adapters.safetensors"
INPUT_FILES = (ADAPTER_MODEL, MLX_MODEL, ADAPTER_CONFIG)
ADAPTER_ARCHIVE = "adapter.zip"
REPORT_JSON = "report.json"
REPORT_HTML = "report.html"
ATTESTATION = "attestation.json"


def job(tenant: str, job_id: str) -> str:
    return f"tenants/{tenant}/jobs/{job_id}"


def jobs(tenant: str) -> str:
    return f"tenants/{tenant}/jobs/"


def job_request(tenant: str, job_id: str) -> str:
    return f"{job(tenant, job_id)}/request.json"


def job_input(tenant: str, job_id: str, filename: str) -> str:
    return f"{job(tenant, job_id)}/input/{filename}"


def job_inputs(tenant: str, job_id: str) -> str:
    return f"{job(tenant, job_id)}/input/"


def job_result(tenant: str, job_id: str) -> str:
    """Put once, for cancelled and failed jobs too."""
    return f"{job(tenant, job_id)}/result.json"


def job_records(tenant: str, job_id: str) -> tuple[str, str]:
    """What of a job goes last, in this order: without its result it would be queued again."""
    return job_request(tenant, job_id), job_result(tenant, job_id)


def pending(tenant: str, job_id: str) -> str:
    """Removed when the job ends, so that reconciling costs O(pending)."""
    return f"tenants/{tenant}/pending/{job_id}"


def all_pending(tenant: str) -> str:
    return f"tenants/{tenant}/pending/"


def tenants() -> str:
    return "tenants/"


def upload(tenant: str, upload_id: str) -> str:
    return f"{uploads(tenant)}{upload_id}"


def uploads(tenant: str) -> str:
    return f"tenants/{tenant}/uploads/"


def upload_record(tenant: str, upload_id: str) -> str:
    """Put once, before anything can be sent; goes last."""
    return f"{upload(tenant, upload_id)}/upload.json"


def upload_file(tenant: str, upload_id: str, filename: str) -> str:
    return f"{upload(tenant, upload_id)}/files/{filename}"


def results(tenant: str) -> str:
    return f"tenants/{tenant}/results/"


def commit(tenant: str, recipe: str) -> str:
    """Put conditionally: names the winning output and every file's SHA-256."""
    return f"tenants/{tenant}/results/{recipe}/commit.json"


def output(tenant: str, recipe: str, output_digest: str, filename: str) -> str:
    return f"tenants/{tenant}/results/{recipe}/{output_digest}/{filename}"


def idempotency(tenant: str, key: str) -> str:
    return f"tenants/{tenant}/idempotency/{sha256_hex(key.encode())}"


def idempotency_claims(tenant: str) -> str:
    return f"tenants/{tenant}/idempotency/"


def alignments() -> str:
    return "alignments/"


def alignment_names() -> str:
    return "alignments/names/"


def alignment_name(name: str) -> str:
    return f"alignments/names/{name}.json"


def build_outcome(name: str, created_at: str) -> str:
    """Put once for each registration of a name: how its build ended."""
    return f"alignments/builds/{name}/{sha256_hex(created_at.encode())}.json"


def alignment_policies(name: str, created_at: str) -> str:
    """For each registration of a name: the policies that it was given since."""
    return f"alignments/policies/{name}/{sha256_hex(created_at.encode())}.json"


def alignment(alignment_id: str, filename: str) -> str:
    return f"alignments/{alignment_id}/{filename}"
