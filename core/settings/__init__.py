"""The service's settings: built once at the door, passed in, never a global.

Every field can be set as an environment variable, SAFELORA_STORE__PATH, SAFELORA_REDIS__URL, …, or
as a file of that name in the folder that SAFELORA_SECRETS_DIR names.
"""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from core.errors import GateError
from core.jobs import TENANT_PATTERN
from core.settings.access import AccessSettings, ApiKey, TenantSettings
from core.settings.alignments import AlignmentSettings
from core.settings.attestation import AttestationSettings
from core.settings.hooks import HookRule, HookRules
from core.settings.intake import DestinationSettings, LimitSettings, SourceSettings
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
    "QueueSettings",
    "RedisSettings",
    "RetentionSettings",
    "Settings",
    "SettingsInvalid",
    "SourceSettings",
    "TenantSettings",
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
    """The environment does not describe a service; the message names each variable at fault."""

    code = "settings_invalid"


class Settings(BaseSettings):
    """`scratch`: the folder for what is at work. `heartbeat`: a file that a worker or courier
    touches while it lives, a minute apart at most, for probes; None: none."""

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
    scratch: Path = Path("var/scratch")
    heartbeat: Path | None = None

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
            raise ValueError(f"{', '.join(strangers)}: no such setting")
        return data


def load_settings() -> Settings:
    """The settings of the environment. Raises `SettingsInvalid`, without showing any value."""
    try:
        return Settings()
    except SecretFileUnusable as error:
        raise SettingsInvalid(str(error)) from error
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        lines = []
        for problem in problems:
            path = "__".join(str(part) for part in problem["loc"]).upper()
            why = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{PREFIX}{path}: {why}" if path else why)
        raise SettingsInvalid("; ".join(lines)) from error
