"""How long things are kept."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from core.jobs import TENANT_PATTERN
from core.settings.forms import Section


def _days(value: Any) -> Any:
    return None if value == KEEP else value


KEEP = "keep"
Days = Annotated[float, Field(ge=1 / 24, le=36_500)]
Kept = Annotated[Days | None, BeforeValidator(_days)]


class Ages(Section):
    """Days after which a job that has ended loses its input, a result is deleted, and a job that
    has ended is; `keep`, as None, is for ever."""

    inputs: Kept = 7
    results: Kept = None
    jobs: Kept = None


class RetentionSettings(Ages):
    """What is deleted when; `tenants` says otherwise for some.

    `idempotency`: days that an Idempotency-Key stands for its job. `abandoned`: hours after which
    what was begun and not finished is taken for given up. `every`: seconds between two looks.
    """

    idempotency: Kept = 30
    abandoned: Annotated[float, Field(ge=1, le=8760)] = 24
    every: Annotated[float, Field(gt=0)] = 3600
    tenants: dict[Annotated[str, Field(pattern=TENANT_PATTERN)], Ages] = {}

    def of(self, tenant: str) -> Ages:
        """The tenant's own ages, and the general ones where it has none."""
        general = self.model_dump(include=set(Ages.model_fields))
        own = self.tenants.get(tenant, Ages()).model_dump(exclude_unset=True)
        return Ages(**{**general, **own})
