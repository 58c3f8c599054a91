"""Redis, and the queue that it carries."""

from typing import Annotated

from pydantic import Field, PositiveFloat, SecretStr

from core.settings.forms import RedisUrl, Section


class RedisSettings(Section):
    """The Redis, or Valkey, that carries the queue. It must not evict (`maxmemory-policy
    noeviction`); what it loses is made again ([reliability.md](reliability.md))."""

    url: RedisUrl = SecretStr("redis://127.0.0.1:6379/0")
    """Where it is, with its password if it has one."""
    connect_timeout: PositiveFloat = 2.0
    """Seconds that a connection may take."""
    answer_timeout: PositiveFloat = 5.0
    """Seconds that an API or the courier waits for an answer; workers, which wait for jobs, have no
    such bound."""


class QueueSettings(Section):
    """How jobs are given out, and given up ([reliability.md](reliability.md))."""

    name: Annotated[str, Field(min_length=1)] = "safelora"
    """What the queue is called in Redis: gates with a name of their own may share one."""
    job_timeout: Annotated[int, Field(ge=1)] = 900
    """Seconds that a job may take."""
    job_timeout_per_gib: Annotated[int, Field(ge=0)] = 900
    """Seconds more for each GiB of its input."""
    build_timeout: Annotated[int, Field(ge=1)] = 24 * 3600
    """Seconds that the build of an alignment may take."""
    lease: Annotated[int, Field(ge=3)] = 15
    """Seconds that a worker may be silent before its job is given to another."""
    deaths: Annotated[int, Field(ge=1)] = 2
    """Workers that may die with a job in hand before it is set aside as failed."""
    attempts: Annotated[int, Field(ge=1)] = 5
    """How often a job is tried, the first time included, where an error may pass. While the whole
    store is away none is spent."""
    retry_pause: Annotated[float, Field(ge=0)] = 5.0
    """Seconds before the second attempt; before each further one twice as long."""
    sweep_every: Annotated[float, Field(gt=0)] = 3.0
    """Seconds between two looks of the courier for jobs of dead workers."""
    reconcile_every: Annotated[float, Field(gt=0)] = 10.0
    """Seconds between two comparisons of queue and store by the courier."""
    max_depth: Annotated[int, Field(ge=1)] = 10_000
    """Jobs that may wait; with as many no other is accepted."""
    tenant_concurrency: Annotated[int, Field(ge=1)] | None = None
    """Jobs of one tenant that may be on their way to the workers, while its others wait; without it
    there is no bound."""
