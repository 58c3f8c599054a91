"""Which alignment judges the adapter, and by which policy: agreed before a job is accepted."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from app.access.callers import Caller
from app.manifests import Manifests
from core.adapter_config import base_model_field
from core.alignments import NAME_PATTERN, AlignmentRecord
from core.canonical import parse_json_strictly
from core.errors import Conflict, Forbidden, Unprocessable
from core.floor import below_floor
from core.jobs import AlignmentRef
from core.policy import Policy
from core.records import Records
from core.scopes import POLICY_OVERRIDE

ReadConfig = Callable[[], bytes | None]
"""Gets the adapter's config, None where it cannot be had; asked only if no alignment is named."""


@dataclass(frozen=True)
class Terms:
    """`below_floor`: the policy's fields that are weaker than the alignment's floor."""

    alignment: AlignmentRef
    policy: Policy
    below_floor: list[str]


def agree(
    records: Records,
    manifests: Manifests,
    caller: Caller,
    *,
    alignment: str | None,
    policy: Policy | None,
    read_config: ReadConfig,
) -> Terms:
    """The alignment named, or the one for the config's base model; the policy, or its default.

    Raises `Unprocessable` (`alignment_unknown`, `alignment_not_found`, `alignment_ambiguous`,
    `alignment_rank_too_small`, `alignment_not_float32`), `Conflict` (`alignment_not_ready`) or
    `Forbidden` (`policy_below_floor`).
    """
    if alignment is not None:
        record = _named(records, alignment)
    else:
        record = _fitting(records, _base_name(read_config()))
    if record.state != "ready" or record.id is None:
        raise Conflict(
            f"the alignment {record.name} is {record.state}: see /v1/alignments/{record.name}",
            code="alignment_not_ready",
            alignment=record.name,
            state=record.state,
        )
    chosen = policy or record.default_policy
    weaker = check_floor(chosen, record, caller)
    manifests.get(record.id).check_fits(chosen)
    ref = AlignmentRef(name=record.name, id=record.id, base_names=record.base_names)
    return Terms(ref, chosen, weaker)


def find_alignment(records: Records, name: str) -> AlignmentRecord | None:
    """The record of that name; text that cannot be a name never reaches the store."""
    return records.alignment(name) if re.fullmatch(NAME_PATTERN, name) else None


def _named(records: Records, name: str) -> AlignmentRecord:
    record = find_alignment(records, name)
    if record is None:
        raise Unprocessable(
            "no alignment is registered under this name: choose one of those listed",
            code="alignment_unknown",
            field="alignment",
            registered=[record.name for record in records.alignments()],
        )
    return record


def _fitting(records: Records, base_name: str | None) -> AlignmentRecord:
    """The only ready alignment that lists the adapter's base model by exactly this name."""
    ready = [record for record in records.alignments() if record.state == "ready"]
    fitting = [record for record in ready if base_name in record.base_names]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise Unprocessable(
            "several alignments are for the adapter's base model: name one of those listed",
            code="alignment_ambiguous",
            field="alignment",
            fitting=[record.name for record in fitting],
        )
    why = (
        "the adapter's config is missing, is no JSON, or names no base model"
        if base_name is None
        else "no alignment is for the base_model_name_or_path of the adapter's config"
    )
    raise Unprocessable(
        f"{why}: name one of those listed",
        code="alignment_not_found",
        field="alignment",
        registered={record.name: record.base_names for record in ready},
    )


def _base_name(config: bytes | None) -> str | None:
    try:
        parsed = parse_json_strictly(config or b"")
    except ValueError:
        return None  # the adapter's fault, which the worker reports once there is an alignment
    if not isinstance(parsed, dict):
        return None
    name = parsed.get(base_model_field(parsed))
    return name if isinstance(name, str) else None


def check_floor(policy: Policy, record: AlignmentRecord, caller: Caller) -> list[str]:
    """The fields in which the policy is weaker than the floor, if this caller may go below it.

    Raises `Forbidden` (`policy_below_floor`).
    """
    weaker = below_floor(policy, record.effective_floor)
    if weaker and POLICY_OVERRIDE not in caller.scopes:
        raise Forbidden(
            f"the policy is weaker than the floor of {record.name} in {', '.join(weaker)}: leave"
            f" them out, or use a key with the scope {POLICY_OVERRIDE}",
            code="policy_below_floor",
            fields=weaker,
        )
    return weaker
