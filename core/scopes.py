"""What a key may do: every scope there is, in one place."""

from typing import Final

JOBS: Final = "jobs"
ALIGNMENTS: Final = "alignments"
POLICY_OVERRIDE: Final = "policy:override"
WEBHOOKS: Final = "webhooks"
METRICS: Final = "metrics"

SCOPES: Final[dict[str, str]] = {
    JOBS: "post adapters; follow, steer and remove the tenant's jobs; read their results",
    ALIGNMENTS: "register, change and remove alignments, and see where their checkpoints lie",
    POLICY_OVERRIDE: "post adapters under a policy that is weaker than the alignment's floor",
    WEBHOOKS: "say who is told how jobs end, and renew the secret that is signed with",
    METRICS: "read what the API tells Prometheus: counts and times, of all tenants together",
}
