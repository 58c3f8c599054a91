"""The service's settings: built once at the door, passed in, never a global.

Every field can be set as an environment variable: SAFELORA_STORE__PATH, SAFELORA_REDIS__URL, …
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis.connection import parse_url

from core.errors import GateError
from core.hub_places import ALLOWED as HUB_ALLOWED
from core.jobs import TENANT_PATTERN
from core.store.settings import S3Access, StoreSettings

PREFIX = "SAFELORA_"
NOT_SETTINGS = {"SAFELORA_KEY"}  # a caller's key, in a shell that may also start the service


class SettingsInvalid(GateError):
    """The environment does not describe a service; the message names each variable at fault."""

    code = "settings_invalid"


def _redis_url(url: SecretStr) -> SecretStr:
    try:
        parse_url(url.get_secret_value())  # type: ignore[no-untyped-call]
    except ValueError:  # without its words, which may hold the password
        raise ValueError("no URL of a Redis: redis://, rediss:// or unix://") from None
    return url


def _plain_url(url: str) -> str:
    parts = urlsplit(url)
    _ = parts.port  # raises ValueError where that is no number
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("give it as http://host:port or https://host, without credentials")
    return url.rstrip("/")


def _bearer(token: SecretStr) -> SecretStr:
    plain = token.get_secret_value().strip()
    if not re.fullmatch(r"[!-~]*", plain):
        raise ValueError("no token: it holds a space, or what is not ASCII. Copy it again")
    return SecretStr(plain)


BearerToken = Annotated[SecretStr, AfterValidator(_bearer)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
PlainUrl = Annotated[str, AfterValidator(_plain_url)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


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


class LimitSettings(Section):
    """Bytes. `upload` bounds a whole request body, `config` the adapter's config file."""

    upload: int = 8 * 2**30
    config: int = 2**20
    metadata: int = 16 * 2**10
    wait: int = 60


class SourceSettings(Section):
    """`s3_allow`: `s3://bucket/prefix/` entries adapters may be read from; empty means off.

    Without `s3`, they are reached as the gate's own store is, or as on AWS where that is local.
    """

    s3_allow: list[str] = []
    s3: S3Access | None = None


class AlignmentSettings(Section):
    """`roots`: folders checkpoints may be registered from.

    `s3_allow`: `s3://bucket/prefix/` entries they may be read from, reached as `s3` says; without
    it as the gate's own store is, or as on AWS where that is local. `hub_allow`: models of a hub
    they may be read from, `org/name`, or `org/` for all of an organisation; a bare commit may also
    be one of a pull request, which only the scope of the operator's keys guards. Any of the three
    lists empty means off. `hub_token` is sent to the hub, and to no host that it sends us on to;
    without it huggingface_hub looks where it always does (HF_TOKEN, its own folder).
    `hub_endpoint`: the hub; None is huggingface_hub's own default.

    The tiers: `ram_bytes` of loaded modules a process, `disk_bytes` of files in the folder `cache`,
    and a Redis at `redis_url`, off unless it is set. That one is a cache and forgets as it likes
    (`maxmemory-policy allkeys-lru`): never the Redis of the queue.
    """

    roots: list[Path] = []
    s3_allow: list[str] = []
    s3: S3Access | None = None
    hub_allow: list[Annotated[str, Field(pattern=HUB_ALLOWED)]] = []
    hub_token: BearerToken | None = None
    hub_endpoint: PlainUrl | None = None
    cache: Path = Path("var/alignments")
    ram_bytes: int = 8 * 2**30
    disk_bytes: Annotated[int, Field(ge=0)] = 64 * 2**30
    redis_url: RedisUrl | None = None


class ApiKey(Section):
    """`sha256` is the hex digest of the whole key; the key itself is never stored."""

    id: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    tenant: Annotated[str, Field(pattern=TENANT_PATTERN)] = "default"
    scopes: frozenset[str] = frozenset({"jobs"})


class AccessSettings(Section):
    """Without keys the service answers on loopback only, as tenant `default`."""

    keys: list[ApiKey] = []


class WorkerSettings(Section):
    device: str = "auto"
    threads: int | None = None


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


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    store: StoreSettings = StoreSettings()
    redis: RedisSettings = RedisSettings()
    queue: QueueSettings = QueueSettings()
    limits: LimitSettings = LimitSettings()
    sources: SourceSettings = SourceSettings()
    alignments: AlignmentSettings = AlignmentSettings()
    access: AccessSettings = AccessSettings()
    worker: WorkerSettings = WorkerSettings()
    retention: RetentionSettings = RetentionSettings()
    scratch: Path = Path("var/scratch")

    @model_validator(mode="before")
    @classmethod
    def _no_strangers(cls, data: Any) -> Any:
        """A mistyped variable must not leave the default in force unnoticed."""
        known = {f"{PREFIX}{name.upper()}" for name in cls.model_fields} | NOT_SETTINGS
        strangers = sorted(
            name
            for name in os.environ
            if name.startswith(PREFIX) and name.partition("__")[0] not in known
        )
        if strangers:
            raise ValueError(f"{', '.join(strangers)}: no such setting")
        return data


def load_settings() -> Settings:
    """The settings of the environment. Raises `SettingsInvalid`, without showing any value."""
    try:
        return Settings()
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        lines = []
        for problem in problems:
            path = "__".join(str(part) for part in problem["loc"]).upper()
            why = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{PREFIX}{path}: {why}" if path else why)
        raise SettingsInvalid("; ".join(lines)) from error
