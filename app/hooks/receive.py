"""From an event that was let in to its job. All of it blocks."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.hooks.buckets import adapter_folders
from app.hooks.sources import Source
from app.intake.accept import accept
from app.intake.idempotency import EventKey
from app.intake.order import Order
from app.intake.room import check_room
from app.scratch import MakeFolder
from app.services import Services
from core.canonical import digest, parse_json_strictly, sha256_hex
from core.errors import GateError, RequestError, Unprocessable
from core.event_templates import field_of, holds, parse_template
from core.jobs import JobRequest
from core.s3_places import S3Uri
from core.sources import Pinned
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL, INPUT_FILES

MAX_FOLDERS = 100


@dataclass(frozen=True)
class Ignored:
    """The event is not meant to become a job."""

    why: str


@dataclass(frozen=True)
class Waiting:
    """The adapter is not whole yet: the event of its missing file makes the job."""

    missing: str


Outcome = JobRequest | Ignored | Waiting
Accept = Callable[[Order, EventKey], JobRequest]


def receive(
    services: Services, source: Source, event_id: str | None, body: bytes, folder: MakeFolder
) -> list[Outcome]:
    """What has become of the event: one outcome, or one for each adapter that it tells of.

    Raises `GateError`, where it tells of several only after all were tried; sent again, it makes
    what is still missing.
    """
    event = _parsed(body)
    rule = source.rule
    for field, wanted in rule.when.items():
        if not holds(event, field, wanted):
            return [Ignored(f"the rule wants another {field}")]
    accepted = _accept(services, source, folder)
    if rule.prefix is not None:
        return _of_bucket(services, source, event, accepted)
    return [accepted(_order(source, event), _event_key(source, event, event_id, body))]


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        event = parse_json_strictly(body)
    except ValueError as error:
        raise RequestError(f"the event is not JSON: {error}", code="json_invalid") from error
    if not isinstance(event, dict):
        raise Unprocessable("the event is no JSON object", code="hook_event_invalid")
    return event


def _accept(services: Services, source: Source, folder: MakeFolder) -> Accept:
    """Each call with a folder of its own, under the `folder`."""
    count = iter(range(MAX_FOLDERS + 1))

    def own() -> Path:
        made = folder() / str(next(count))
        made.mkdir()
        return made

    def accepted(order: Order, key: EventKey) -> JobRequest:
        check_room(services, source.caller, key)
        return accept(services, source.caller, order, key, own)

    return accepted


def _event_key(source: Source, event: Any, event_id: str | None, body: bytes) -> EventKey:
    """Where the sender gives its events no id, what they say is what they are told apart by."""
    said = sha256_hex(body)
    if source.rule.kind == "eventbridge":
        own = field_of(event, "id")
        event_id = own if isinstance(own, str) else None
    return EventKey(source.name, f"id {event_id}" if event_id else f"sha256 {said}", said)


def _order(source: Source, fields: Any, place: str | None = None) -> Order:
    rule = source.rule
    made = {name: parse_template(text).text(fields) for name, text in rule.metadata.items()}
    return Order(
        alignment=rule.alignment,
        policy=rule.policy,
        metadata=made,
        source=place or parse_template(rule.adapter or "").uri(fields),
        destination=parse_template(rule.destination).uri(fields) if rule.destination else None,
        callback_url=rule.callback_url,
    )


def _of_bucket(services: Services, source: Source, event: Any, accepted: Accept) -> list[Outcome]:
    prefix = source.rule.prefix or ""
    folders = adapter_folders(event, prefix)
    if not folders:
        return [Ignored("no file of an adapter was put under the rule's prefix")]
    if len(folders) > MAX_FOLDERS:
        raise Unprocessable(
            f"the event tells of more than {MAX_FOLDERS} folders: send fewer in one",
            code="hook_event_invalid",
        )
    outcomes: list[Outcome] = []
    errors: list[GateError] = []
    for place in folders:
        try:
            outcomes.append(_of_folder(services, source, place, accepted))
        except GateError as error:
            errors.append(error)
    if errors:  # one that may pass before all others, so that the sender tries again
        raise max(errors, key=lambda error: error.status >= 500)
    return outcomes


def _of_folder(services: Services, source: Source, place: S3Uri, accepted: Accept) -> Outcome:
    """One job for each version of the files there, whichever of their events comes first."""
    try:
        pinned = services.sources.pin(str(place), source.rule.tenant)
    except Unprocessable as error:
        if error.code == "source_not_found":
            return Ignored("the adapter is gone again")
        raise
    if missing := _missing(pinned):
        return Waiting(missing)
    inside = str(place).removeprefix(source.rule.prefix or "").removesuffix("/")
    order = _order(source, {"bucket": place.bucket, "folder": inside}, str(place))
    version = digest([str(place), pinned.version])
    key = EventKey(source.name, f"version {version}", version)
    return accepted(replace(order, pinned=pinned), key)


def _missing(pinned: Pinned) -> str | None:
    """The file that an adapter has and this folder has not; MLX names its weights otherwise."""
    there = {file.name for file in pinned.files}
    if ADAPTER_CONFIG not in there:
        return ADAPTER_CONFIG
    return None if there & (set(INPUT_FILES) - {ADAPTER_CONFIG}) else ADAPTER_MODEL
