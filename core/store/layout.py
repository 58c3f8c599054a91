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


def probe(name: str) -> str:
    """Of `safelora-gate doctor`, which takes away again what it puts under it."""
    return f"doctor/{name}"


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


def attestation_keys() -> str:
    return "attestation/keys/"


def attestation_key(kid: str) -> str:
    """Put once, and once more when it is retired: the public half of a signing key."""
    return f"attestation/keys/{kid}.json"


WEBHOOK_REGISTRATION = "registration.json"


def deliveries(tenant: str, job_id: str) -> str:
    return f"{job(tenant, job_id)}/deliveries/"


def delivery(tenant: str, job_id: str, delivery_id: str) -> str:
    """What came of telling one receiver how the job ended."""
    return f"{job(tenant, job_id)}/deliveries/{delivery_id}.json"


def outbox() -> str:
    return "outbox/"


def outbox_of(tenant: str) -> str:
    return f"outbox/{tenant}/"


def outbox_mark(due_ms: int, tenant: str, job_id: str, delivery_id: str) -> str:
    """A tenant's sort by when they are due, and nobody's backlog lies on the way to another's."""
    return f"outbox/{tenant}/{due_ms:015d}/{job_id}/{delivery_id}"


def webhook_secrets(tenant: str) -> str:
    return f"tenants/{tenant}/webhooks/secrets/"


def webhook_secret(tenant: str, name: str) -> str:
    return f"tenants/{tenant}/webhooks/secrets/{name}.json"


def webhook_endpoints(tenant: str) -> str:
    return f"tenants/{tenant}/webhooks/endpoints/"


def webhook_registration(tenant: str, webhook_id: str) -> str:
    """The endpoint is there as long as this is."""
    return f"tenants/{tenant}/webhooks/endpoints/{webhook_id}/{WEBHOOK_REGISTRATION}"


def webhook_settings(tenant: str, webhook_id: str) -> str:
    return f"tenants/{tenant}/webhooks/endpoints/{webhook_id}/settings.json"


def access_keys() -> str:
    return "access/keys/"


def access_key(key_id: str) -> str:
    return f"access/keys/{key_id}.json"


def revoked_key(key_id: str) -> str:
    """Put once: a key that has this mark is good no more, whatever its record says."""
    return f"access/revoked/{key_id}.json"
