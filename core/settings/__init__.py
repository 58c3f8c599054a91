"""The service's settings: built once at the door, passed in, never a global.

Every field can be set as an environment variable, SAFELORA_STORE__PATH, SAFELORA_REDIS__URL, …, or
as a file of that name in the folder that SAFELORA_SECRETS_DIR names.
"""

import os
import re
from itertools import takewhile
from json import JSONDecodeError
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from core.errors import GateError
from core.findings import printable
from core.jobs import TENANT_PATTERN
from core.settings.access import AccessSettings, ApiKey, TenantSettings
from core.settings.alignments import AlignmentSettings
from core.settings.attestation import AttestationSettings
from core.settings.hooks import HookRule, HookRules
from core.settings.intake import DestinationSettings, LimitSettings, SourceSettings
from core.settings.observing import LogSettings, MetricsSettings, TraceSettings
from core.settings.queue import QueueSettings, RedisSettings
from core.settings.retention import Ages, RetentionSettings
from core.settings.secret_files import SECRETS_DIR, SecretFiles, SecretFileUnusable, secret_files
from core.settings.webhooks import WebhookSettings
from core.settings.worker import WorkerSettings
from core.store.settings import StoreSettings

__all__ = [
    "PREFIX",
    "AccessSettings",
    "Ages",
    "AlignmentSettings",
    "ApiKey",
    "AttestationSettings",
    "DestinationSettings",
    "HookRule",
    "LimitSettings",
    "LogSettings",
    "MetricsSettings",
    "QueueSettings",
    "RedisSettings",
    "RetentionSettings",
    "Settings",
    "SettingsInvalid",
    "SourceSettings",
    "TenantSettings",
    "TraceSettings",
    "WebhookSettings",
    "WorkerSettings",
    "load_settings",
]

PREFIX = "SAFELORA_"
NOT_SETTINGS = {
    "SAFELORA_KEY",  # a caller's, as the next, in a shell that may start the service
    "SAFELORA_URL",
    SECRETS_DIR,
}


class SettingsInvalid(GateError):
    """The environment does not describe a service; the message has a line for each variable at
    fault, which begins with its name."""

    code = "settings_invalid"

    @property
    def told(self) -> str:
        """What a process ends with on stderr."""
        return "".join(f"error [{self.code}]: {line}\n" for line in self.message.splitlines())


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    store: StoreSettings = StoreSettings()
    redis: RedisSettings = RedisSettings()
    queue: QueueSettings = QueueSettings()
    limits: LimitSettings = LimitSettings()
    sources: SourceSettings = SourceSettings()
    destinations: DestinationSettings = DestinationSettings()
    alignments: AlignmentSettings = AlignmentSettings()
    access: AccessSettings = AccessSettings()
    tenants: dict[Annotated[str, Field(pattern=TENANT_PATTERN)], TenantSettings] = Field(
        default={}, examples=[{"acme": {"requests_per_minute": 60, "concurrency": 2}}]
    )
    hooks: HookRules = Field(
        default={},
        examples=[
            {
                "runs": {
                    "kind": "mlflow",
                    "secret_file": "/run/secrets/runs",
                    "adapter": "s3://ft-outputs/{data.run_id}/",
                    "alignment": "tiny-chat",
                }
            }
        ],
    )
    worker: WorkerSettings = WorkerSettings()
    retention: RetentionSettings = RetentionSettings()
    attestation: AttestationSettings = AttestationSettings()
    webhooks: WebhookSettings = WebhookSettings()
    metrics: MetricsSettings = MetricsSettings()
    logs: LogSettings = LogSettings()
    traces: TraceSettings = TraceSettings()
    scratch: Path = Path("var/scratch")
    """The folder for what is under way, on one machine: uploads, adapters in a worker's hands."""
    heartbeat: Path | None = None
    """A file that a worker or courier touches once a minute at least while it lives."""

    def tenant(self, name: str) -> TenantSettings:
        """What this tenant may do where that is not what all may."""
        return self.tenants.get(name, TenantSettings())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, SecretFiles(settings_cls)

    @model_validator(mode="before")
    @classmethod
    def _no_strangers(cls, data: Any) -> Any:
        """A mistyped variable, or file, must not leave the default in force unnoticed."""
        known = {f"{PREFIX}{name.upper()}" for name in cls.model_fields} | NOT_SETTINGS
        strangers = sorted(
            name
            for name in (*os.environ, *secret_files(PREFIX))
            if name.startswith(PREFIX) and name.partition("__")[0] not in known
        )
        if strangers:
            raise ValueError("\n".join(f"{name}: there is no such setting" for name in strangers))
        return data


def load_settings() -> Settings:
    """The settings of the environment. Raises `SettingsInvalid`, without showing any value."""
    try:
        return Settings()
    except SecretFileUnusable as error:
        raise SettingsInvalid(str(error)) from error
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise SettingsInvalid("\n".join(map(_line, problems))) from error
    except SettingsError as error:
        raise SettingsInvalid(_not_json(error.__cause__)) from None  # its cause has the value


def _line(problem: ErrorDetails) -> str:
    """What is wrong with one variable. What no name of a variable could say follows the name."""
    place = [str(part) for part in problem["loc"] if part != "[key]"]
    why = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        why = "there is no such setting"
    if not place:
        return why
    named = list(takewhile(re.compile("[a-z_][a-z0-9_]*").fullmatch, place))
    variable, inside = "__".join([f"{PREFIX}{named[0]}", *named[1:]]).upper(), place[len(named) :]
    return printable(": ".join([variable, ".".join(inside), why] if inside else [variable, why]))


def _not_json(cause: BaseException | None) -> str:
    """The variable is told by its value, which is all that is known of it here."""
    if not isinstance(cause, JSONDecodeError):
        return f"the environment cannot be read ({type(cause).__name__})"
    names = [name for name in os.environ if name.startswith(PREFIX)]
    name = next((name for name in names if os.environ[name] == cause.doc), PREFIX)
    return f"{name}: no JSON: {cause.msg} at character {cause.pos + 1}"
