"""How long things are kept."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from core.jobs import TENANT_PATTERN
from core.settings.forms import Section


def _days(value: Any) -> Any:
    return None if value == KEEP else value


KEEP = "keep"
Days = Annotated[float, Field(ge=1 / 24, le=36_500)]
Kept = Annotated[
    Days | None,
    BeforeValidator(_days),
    WithJsonSchema(
        {"type": "number", "format": "a number of days, 1/24 to 36500, or `keep`", "unset": KEEP}
    ),
]


class Ages(Section):
    """Days that things are kept; `keep` is for ever."""

    inputs: Kept = 7
    """From the end of a job until it loses its input."""
    results: Kept = None
    """From when a result was made, or last answered a job, until it is deleted."""
    jobs: Kept = None
    """From the end of a job until it is deleted."""


class RetentionSettings(Ages):
    """What is deleted when ([retention.md](retention.md))."""

    idempotency: Kept = 30
    """As long an Idempotency-Key stands for its job."""
    abandoned: Annotated[float, Field(ge=1, le=8760)] = 24
    """Hours after which what was begun and not finished is taken for given up; more than twice what
    the slowest upload takes, which is refused past half of it."""
    every: Annotated[float, Field(gt=0)] = 3600
    """Seconds between two looks; each lists all jobs older than `inputs` or `jobs`, whichever is
    less, a request for every 1000 objects."""
    tenants: dict[Annotated[str, Field(pattern=TENANT_PATTERN)], Ages] = Field(
        default={}, examples=[{"acme": {"inputs": "keep", "jobs": 365, "results": 365}}]
    )
    """Any of `inputs`, `results` and `jobs` by tenant; what one leaves out is as for all."""

    def of(self, tenant: str) -> Ages:
        """The tenant's own ages, and the general ones where it has none."""
        general = self.model_dump(include=set(Ages.model_fields))
        own = self.tenants.get(tenant, Ages()).model_dump(exclude_unset=True)
        return Ages(**{**general, **own})
