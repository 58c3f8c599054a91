"""The service's settings: built once at the door, passed in, never a global.

Every field can be set as an environment variable: SAFELORA_STORE__PATH, SAFELORA_REDIS__URL, …
"""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import GateError
from core.jobs import TENANT_PATTERN
from core.settings.access import AccessSettings, ApiKey, TenantSettings
from core.settings.alignments import AlignmentSettings
from core.settings.attestation import AttestationSettings
from core.settings.hooks import HookRule, HookRules
from core.settings.intake import DestinationSettings, LimitSettings, SourceSettings
from core.settings.observing import LogSettings, MetricsSettings, TraceSettings
from core.settings.queue import QueueSettings, RedisSettings
from core.settings.retention import Ages, RetentionSettings
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
NOT_SETTINGS = {"SAFELORA_KEY", "SAFELORA_URL"}  # a caller's, in a shell that may start the service


class SettingsInvalid(GateError):
    """The environment does not describe a service; the message names each variable at fault."""

    code = "settings_invalid"


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
    destinations: DestinationSettings = DestinationSettings()
    alignments: AlignmentSettings = AlignmentSettings()
    access: AccessSettings = AccessSettings()
    tenants: dict[Annotated[str, Field(pattern=TENANT_PATTERN)], TenantSettings] = {}
    hooks: HookRules = {}
    worker: WorkerSettings = WorkerSettings()
    retention: RetentionSettings = RetentionSettings()
    attestation: AttestationSettings = AttestationSettings()
    webhooks: WebhookSettings = WebhookSettings()
    metrics: MetricsSettings = MetricsSettings()
    logs: LogSettings = LogSettings()
    traces: TraceSettings = TraceSettings()
    scratch: Path = Path("var/scratch")

    def tenant(self, name: str) -> TenantSettings:
        """What this tenant may do where that is not what all may."""
        return self.tenants.get(name, TenantSettings())

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
