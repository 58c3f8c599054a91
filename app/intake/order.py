"""What was asked for, the same whether it came as a form or as JSON."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from app.intake.arrival import Arrival
from app.intake.form import STORED_AS, Form
from app.intake.metadata import Metadata
from app.scratch import MakeFolder
from core.archives import Unpacked, UnpackedFile, unpack
from core.canonical import Json, digest, parse_json_strictly
from core.errors import TooLarge, Unprocessable
from core.jobs import InputFile
from core.model import Frozen
from core.policy import Policy, describe_validation, parse_policy
from core.settings import LimitSettings
from core.sources import Pinned
from core.store.layout import ADAPTER_CONFIG

_METADATA: TypeAdapter[dict[str, str]] = TypeAdapter(Metadata)


PLAIN_TEXTS = ("alignment", "destination", "callback_url")


class JobOrder(Frozen):
    """The JSON body of `POST /v1/jobs`."""

    source: Annotated[
        str,
        Field(
            description="s3://bucket/folder/, or an archive in a .zip, .tar, .tar.gz or .tar.zst,"
            " s3://bucket/x.tar.gz; or upload: and the id of an upload; or job: and the id of an"
            " earlier job, whose input is judged anew, by its alignment if none is named"
        ),
    ]
    alignment: str | None = None
    policy: Policy | None = None
    metadata: Metadata = {}
    destination: Annotated[
        str | None,
        Field(description="s3://bucket/folder/ that the result is brought to as well"),
    ] = None
    callback_url: Annotated[
        str | None, Field(description="https://… that is told how the job ended")
    ] = None


@dataclass(frozen=True)
class Order:
    """One job as asked for. `files` are on disk, out of an archive; those that came as parts are
    `stored` by `arrival`, which commits them once they are wanted; with a `source` there are none
    of either yet, and `pinned` is the version of it that was meant, where it was looked at
    before."""

    alignment: str | None
    policy: Policy | None
    metadata: dict[str, str]
    files: dict[str, UnpackedFile] = field(default_factory=dict)
    stored: dict[str, InputFile] = field(default_factory=dict)
    arrival: Arrival | None = None
    other_names: list[str] = field(default_factory=list)
    source: str | None = None
    destination: str | None = None
    callback_url: str | None = None
    pinned: Pinned | None = None

    @property
    def sha256(self) -> dict[str, str]:
        """Of each file that came along, by name."""
        on_disk = {name: file.sha256 for name, file in self.files.items()}
        return on_disk | {name: file.sha256 or "" for name, file in self.stored.items()}

    def digest(self) -> str:
        """Equal for requests that ask for the same thing."""
        files: Json = self.sha256
        return digest(
            {
                "files": files,
                "other_names": sorted(self.other_names),
                "source": self.source,
                "alignment": self.alignment,
                "policy": self.policy.as_json() if self.policy else None,
                "metadata": self.metadata,
                "destination": self.destination,
                "callback_url": self.callback_url,
            }
        )


def order_of_form(form: Form, arrival: Arrival, folder: MakeFolder, limits: LimitSettings) -> Order:
    """Blocks: an archive is unpacked into the `folder`. Raises `RequestError`."""
    texts = form.texts
    policy = parse_policy(texts["policy"]) if "policy" in texts else None
    metadata = _metadata(texts["metadata"]) if "metadata" in texts else {}
    plain = {name: _text(name, texts[name]) for name in PLAIN_TEXTS if name in texts}
    unpacked = _unpacked(form, folder, limits)
    return Order(
        alignment=plain.get("alignment"),
        policy=policy,
        metadata=metadata,
        files=unpacked.files,
        stored={file.name: file for file in form.files.values()},
        arrival=arrival,
        other_names=unpacked.other_names,
        destination=plain.get("destination"),
        callback_url=plain.get("callback_url"),
    )


def order_of_json(body: Any) -> Order:
    """Raises `Unprocessable`."""
    if isinstance(body, dict):
        policy = body.pop("policy", None)
        body = {**body, "policy": None if policy is None else parse_policy(policy)}
    try:
        order = JobOrder.model_validate(body)
    except ValidationError as error:
        raise invalid(error, root="body", code="validation_failed") from error
    return Order(**{field: getattr(order, field) for field in JobOrder.model_fields})


def invalid(error: ValidationError, *, root: str, code: str) -> Unprocessable:
    """The error to raise for what pydantic found, without echoing the input."""
    problems = describe_validation(error, root=root)
    return Unprocessable(
        "; ".join(f"{item['field']}: {item['why']}" for item in problems),
        code=code,
        problems=problems,
    )


def _unpacked(form: Form, folder: MakeFolder, limits: LimitSettings) -> Unpacked:
    """What is in the archive; nothing where both files came as parts."""
    if form.archive is not None and not form.files:
        inside = folder() / "unpacked"
        inside.mkdir()
        unpacked = unpack(form.archive.path, inside, max_bytes=limits.upload)
        _check_config_size(unpacked.files, limits)
        return unpacked
    if form.archive is not None:
        raise Unprocessable(
            "an archive holds both files: send it alone, or adapter and config without it",
            code="part_conflict",
            field="archive",
        )
    for name in STORED_AS:
        if name not in form.files:
            raise Unprocessable(
                f"the part {name} is missing: send adapter and config, or archive",
                code="part_missing",
                field=name,
            )
    return Unpacked()


def _check_config_size(files: dict[str, UnpackedFile], limits: LimitSettings) -> None:
    config = files.get(ADAPTER_CONFIG)
    if config is not None and config.size > limits.config:
        raise TooLarge(
            f"{ADAPTER_CONFIG} in the archive has {config.size} bytes; {limits.config} are"
            " accepted",
            code="part_too_large",
            field="archive",
            limit=limits.config,
        )


def _metadata(data: bytes) -> dict[str, str]:
    try:
        return _METADATA.validate_python(parse_json_strictly(data), strict=True)
    except ValidationError as error:
        raise invalid(error, root="metadata", code="metadata_invalid") from error
    except ValueError as error:
        raise Unprocessable(
            f"the metadata is not JSON: {error}", code="metadata_invalid", field="metadata"
        ) from error


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Unprocessable(
            f"the part {name} is not UTF-8", code="part_invalid", field=name
        ) from error
