"""The in-toto Statement (v1) of one sanitized adapter: which files, and what the gate did.

https://github.com/in-toto/attestation/tree/main/spec/v1
It holds no job, time, path or device: for one result it is always the same bytes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.attestation.refused import NotVerified
from core.canonical import canonical_json, parse_json_strictly
from core.policy import Policy
from core.report import EngineFacts, FileFacts, Report, Summary
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL, REPORT_JSON

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:safelora-gate:sanitization:v1"
SUBJECTS: Final = (ADAPTER_CONFIG, ADAPTER_MODEL, REPORT_JSON)
PublishedVerdict = Literal["projected", "unchanged"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class _Part(BaseModel):
    """What later versions add is passed over, as the specification asks."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class AttestedAlignment(_Part):
    """`name`: what the gate's operator called it; the `id` says which it is."""

    id: str
    name: str | None = None


class Predicate(_Part):
    """What the gate did: to which `input`, by what alignment, policy and engine, and what it found.

    `recipe`: the gate's own digest of all of that; none from the offline command.
    """

    input: list[FileFacts]
    alignment: AttestedAlignment
    policy: Policy
    engine: EngineFacts
    verdict: PublishedVerdict
    summary: Summary
    recipe: str | None = None


class _Annotations(_Part):
    size: int = Field(ge=0)


class _Subject(_Part):
    name: str
    digest: dict[str, str]
    annotations: _Annotations


class _Statement(_Part):
    type_: str = Field(alias="_type")
    predicate_type: str = Field(alias="predicateType")


class _Sanitization(_Statement):
    subject: list[_Subject]
    predicate: Predicate


@dataclass(frozen=True)
class Statement:
    """`files`: the subjects by name, each once."""

    files: dict[str, FileFacts]
    predicate: Predicate


def make_statement(report: Report, files: Sequence[FileFacts], *, recipe: str | None) -> bytes:
    """The statement of a report that published an adapter, as it is signed.

    `files`: facts of all the `SUBJECTS`, others are left out. Raises `ValueError` for a report
    that published none.
    """
    facts = {file.name: file for file in files}
    if report.verdict not in ("projected", "unchanged") or report.alignment is None:
        raise ValueError(f"nothing is published, so nothing attested, for {report.verdict}")
    predicate = Predicate(
        input=sorted(report.input.files, key=lambda file: file.name),
        alignment=AttestedAlignment(id=report.alignment.id, name=report.alignment.name),
        policy=report.policy,
        engine=report.engine,
        verdict=report.verdict,
        summary=report.summary,
        recipe=recipe,
    )
    return canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [
                {
                    "name": name,
                    "digest": {"sha256": facts[name].sha256},
                    "annotations": {"size": facts[name].size},
                }
                for name in SUBJECTS
            ],
            "predicateType": PREDICATE_TYPE,
            "predicate": {**predicate.model_dump(mode="json"), "policy": report.policy.as_json()},
        }
    )


def parse_statement(payload: bytes) -> Statement:
    """Raises `NotVerified`: for any other statement, though a trusted key signed it."""
    try:
        parse_json_strictly(payload)
    except ValueError as error:
        raise NotVerified("statement_not_json", f"the payload is not JSON: {error}") from None
    kind = _parsed(payload, _Statement, "statement_invalid")
    if kind.type_ != STATEMENT_TYPE:
        raise NotVerified("statement_type", f"the payload is no {STATEMENT_TYPE}")
    if kind.predicate_type != PREDICATE_TYPE:
        raise NotVerified("predicate_type", f"it does not state a {PREDICATE_TYPE}")
    whole = _parsed(payload, _Sanitization, "predicate_invalid")
    if not whole.predicate.policy.publishes:
        raise NotVerified("predicate_invalid", "its policy only scores, which publishes nothing")
    return Statement(_files(whole.subject), whole.predicate)


def _files(subjects: Sequence[_Subject]) -> dict[str, FileFacts]:
    files: dict[str, FileFacts] = {}
    for subject in subjects:
        name, sha256 = subject.name, subject.digest.get("sha256", "")
        if not _NAME.fullmatch(name):
            raise NotVerified("subject_name", "a subject's name is no plain file name")
        if name not in SUBJECTS:
            raise NotVerified("subject_unexpected", "no such file is ever published", subject=name)
        if name in files:
            raise NotVerified("subject_twice", "it is a subject twice", subject=name)
        if not _SHA256.fullmatch(sha256):
            raise NotVerified("subject_digest", "it has no SHA-256", subject=name)
        files[name] = FileFacts(name=name, size=subject.annotations.size, sha256=sha256)
    for name in SUBJECTS:
        if name not in files:
            raise NotVerified("subject_missing", "the attestation does not cover it", subject=name)
    return files


def _parsed(payload: bytes, model: type[Any], code: str) -> Any:
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the payload"
        raise NotVerified(
            code,
            f"{where}: {first['msg']}. Where a later version signed it, verify with that version",
        ) from None
