"""Redis, and the queue that it carries."""

from typing import Annotated

from pydantic import Field, SecretStr

from core.settings.forms import RedisUrl, Section


class RedisSettings(Section):
    url: RedisUrl = SecretStr("redis://127.0.0.1:6379/0")
    connect_timeout: float = 2.0
    answer_timeout: float = 5.0


class QueueSettings(Section):
    """Times in seconds. A worker that is silent for a `lease` is taken for dead, and its job given
    to another; a job that was given away `deaths` times is set aside as failed.

    A job may take `job_timeout`, and `job_timeout_per_gib` more for each GiB of its input. After an
    error that may pass it is tried again, `attempts` times in all, first after `retry_pause` and
    each time after twice as long; while the whole store is away no attempt is spent. A tenant has
    `tenant_concurrency` jobs on their way to the workers at most, the others wait (None: no bound).
    With `max_depth` jobs waiting no other is accepted.
    """

    name: str = "safelora"
    job_timeout: Annotated[int, Field(ge=1)] = 900
    job_timeout_per_gib: Annotated[int, Field(ge=0)] = 900
    build_timeout: Annotated[int, Field(ge=1)] = 24 * 3600
    lease: Annotated[int, Field(ge=3)] = 15
    deaths: Annotated[int, Field(ge=1)] = 2
    attempts: Annotated[int, Field(ge=1)] = 5
    retry_pause: Annotated[float, Field(ge=0)] = 5.0
    sweep_every: Annotated[float, Field(gt=0)] = 3.0
    reconcile_every: Annotated[float, Field(gt=0)] = 10.0
    max_depth: Annotated[int, Field(ge=1)] = 10_000
    tenant_concurrency: Annotated[int, Field(ge=1)] | None = None
