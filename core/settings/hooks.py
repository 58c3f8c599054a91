"""What events of fine-tuning pipelines become jobs, and how their senders are known."""

import base64
import binascii
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)

from core.errors import Unprocessable
from core.event_templates import FIELD_PATTERN, parse_template
from core.jobs import TENANT_PATTERN
from core.policy import Policy, parse_policy
from core.s3_places import parse_s3
from core.settings.forms import Section
from core.webhooks.urls import parse_url

SOURCE_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
FOLDER_FIELDS = frozenset({"bucket", "folder"})
"""What a rule with a `prefix` may name in its templates."""

_WHSEC = "whsec_"
_MIN_SECRET = 16


def secret_fault(kind: str, secret: str) -> str | None:
    """Why this can be no secret of such a sender, without showing it; None if it can."""
    if not re.fullmatch(rf"[!-~]{{{_MIN_SECRET},}}", secret):
        return f"at least {_MIN_SECRET} characters of ASCII without spaces are needed"
    if kind == "standard" and len(standard_key(secret) or b"") < _MIN_SECRET:
        least = f"{_MIN_SECRET} bytes or more"
        return f"a secret of Standard Webhooks is {_WHSEC} and base64 of {least}"
    return None


def standard_key(secret: str) -> bytes | None:
    """The bytes that a `whsec_…` stands for; None for what is none."""
    text = secret.removeprefix(_WHSEC)
    if text == secret:
        return None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None


def _policy(value: Any) -> Any:
    if isinstance(value, Policy):
        return value
    try:
        return parse_policy(value)
    except Unprocessable as error:
        raise ValueError(error.message) from None


def _uri_template(text: str) -> str:
    template = parse_template(text)
    sound = template.is_whole_field or (
        parse_s3(template.sample()) is not None and re.match(r"s3://[^/{]+/", template.fixed)
    )
    if not sound:
        raise ValueError(
            "no s3://bucket/… with fields only after the bucket, as s3://ft-outputs/{data.id}/, and"
            " no single field that holds a whole URI, as {data.adapter_uri}"
        )
    return text


def _text_template(text: str) -> str:
    parse_template(text)
    return text


def _prefix(text: str) -> str:
    folder = text if text.endswith("/") else f"{text}/"
    if parse_s3(f"{folder}x") is None:
        raise ValueError("no s3://bucket/folder/")
    return folder


def _url(text: str) -> str:
    parse_url(text)
    return text


UriTemplate = Annotated[str, AfterValidator(_uri_template)]
TextTemplate = Annotated[str, Field(max_length=1024), AfterValidator(_text_template)]
FieldName = Annotated[str, Field(pattern=FIELD_PATTERN)]
HookPolicy = Annotated[
    Policy, BeforeValidator(_policy), WithJsonSchema({"type": "object", "format": "a policy, JSON"})
]
Scalar = StrictStr | StrictBool | StrictInt | StrictFloat | None


class HookRule(Section):
    """One source of events, by its name: how they are known to be its own, and what job each
    becomes ([hooks.md](hooks.md))."""

    kind: Literal["standard", "mlflow", "huggingface", "s3", "wandb", "eventbridge"]
    """How its events are signed and shaped."""
    secret: SecretStr | None = None
    """What its events are known by."""
    secrets: list[SecretStr] = []
    """Several, any of which will do, for rotation."""
    secret_file: Path | None = None
    """A file with one such secret a line."""
    token: SecretStr | None = None
    """The access token of wandb, where its `secret` signs."""
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    """The header that carries the secret, for s3 (else `Authorization: Bearer`) and eventbridge
    (else `X-Api-Key`)."""
    when: dict[FieldName, Scalar] = {}
    """The fields and values that an event must have to become a job."""
    adapter: UriTemplate | None = None
    """Where the adapter lies, fields of the event in braces."""
    prefix: Annotated[str, AfterValidator(_prefix)] | None = None
    """In place of `adapter`, for events of a bucket: each folder under it that holds both files is
    an adapter, and `{folder}` is its path from there."""
    tenant: Annotated[str, Field(pattern=TENANT_PATTERN)] = "default"
    """The tenant that the jobs are of."""
    alignment: str | None = None
    """What the adapters are for; without it that is found by the adapter's own config."""
    policy: HookPolicy | None = None
    """What is done to them; without it as the alignment has it ([policies.md](policies.md))."""
    scopes: frozenset[Literal["policy:override"]] = frozenset()
    """`policy:override` lets `policy` go below a floor."""
    destination: UriTemplate | None = None
    """Where results are brought to."""
    callback_url: Annotated[str, AfterValidator(_url)] | None = None
    """Who is told how the job ended."""
    metadata: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=64)], TextTemplate],
        Field(max_length=64),
    ] = {}
    """What the job carries along; fields of the event in braces."""

    def read_secrets(self) -> list[str]:
        """Raises `ValueError` for a file that cannot be read, and for what can be no secret."""
        given = [self.secret] if self.secret else []
        found = [secret.get_secret_value() for secret in (*given, *self.secrets)]
        if self.secret_file is not None:
            try:
                found += self.secret_file.read_text("ascii").split()
            except (OSError, UnicodeDecodeError):
                raise ValueError(f"secret_file: {self.secret_file} cannot be read") from None
        for secret in found:
            if fault := secret_fault(self.kind, secret):
                raise ValueError(f"secret: {fault}")
        if not found and self.token is None:
            raise ValueError("secret: one is needed, or secrets, or a secret_file that holds some")
        return found

    @model_validator(mode="after")
    def _secrets_fit(self) -> Self:
        if self.secret_file is None:
            self.read_secrets()
        if self.token is not None:
            if self.kind != "wandb":
                raise ValueError("token: only wandb sends one beside its signature")
            if fault := secret_fault(self.kind, self.token.get_secret_value()):
                raise ValueError(f"token: {fault}")
        if self.header is not None and self.kind not in ("s3", "eventbridge"):
            raise ValueError(f"header: {self.kind} has its own")
        return self

    @model_validator(mode="after")
    def _place_fits(self) -> Self:
        if self.prefix is None and self.kind == "s3":
            raise ValueError("prefix: name the s3://bucket/folder/ whose adapters are meant")
        if self.prefix is not None and self.kind not in ("s3", "eventbridge"):
            raise ValueError(f"prefix: for events of a bucket; {self.kind} needs adapter")
        if (self.adapter is None) == (self.prefix is None):
            raise ValueError("adapter: say where the adapter lies, or give prefix alone")
        if self.prefix is not None:
            texts = (self.destination or "", *self.metadata.values())
            named = {slot.field for text in texts for slot in parse_template(text).slots}
            if named - FOLDER_FIELDS:
                raise ValueError("destination, metadata: with prefix there are {bucket}, {+folder}")
        return self


def _no_loops(rules: dict[str, HookRule]) -> dict[str, HookRule]:
    """A result brought to where another rule looks for adapters would become a job again."""
    for name, rule in rules.items():
        fixed = parse_template(rule.destination or "").fixed
        for other in rules.values():
            watched = other.prefix
            if rule.destination is None or watched is None:
                continue
            if fixed.startswith(watched) or watched.startswith(fixed):
                raise ValueError(
                    f"{name}: destination: may lie under the prefix {watched}, and what is brought"
                    " there would become a job again: choose another folder"
                )
    return rules


HookRules = Annotated[
    dict[Annotated[str, Field(pattern=SOURCE_PATTERN)], HookRule], AfterValidator(_no_loops)
]
