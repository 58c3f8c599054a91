"""Does a folder hold what a gate published, and did that gate do enough? It needs no network."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from core.attestation.envelope import ENVELOPE_LIMIT, open_envelope, parse_envelope
from core.attestation.folder import check_files, read_small
from core.attestation.key_set import KeySet
from core.attestation.refused import NotVerified, Problem
from core.attestation.statement import Predicate, PublishedVerdict, parse_statement
from core.floor import below_floor
from core.model import Frozen
from core.policy import Policy
from core.store.layout import ATTESTATION

VERSION_PATTERN = r"^[0-9]{1,6}(\.[0-9]{1,6}){0,3}$"


class Requirements(Frozen):
    """What an attestation must say to count; whatever is None may be anything.

    `policy`: one that the attested policy must be as strong as. `engine`: the least version.
    `alignments`: ids, one of which must have judged. `verdicts`: one of which it must be.
    `allowed`: names of files that may lie beside the attested ones.
    """

    policy: Policy | None = None
    engine: Annotated[str, Field(pattern=VERSION_PATTERN)] | None = None
    alignments: frozenset[str] | None = None
    verdicts: frozenset[PublishedVerdict] | None = None
    allowed: frozenset[str] = frozenset()


class Verification(Frozen):
    """`key` and `predicate` are there once the signature holds, whatever else is wrong."""

    problems: list[Problem]
    key: str | None = None
    predicate: Predicate | None = None

    @property
    def verified(self) -> bool:
        return not self.problems and self.predicate is not None


def verify_folder(folder: Path, keys: KeySet, required: Requirements) -> Verification:
    """All that is wrong with the folder, or that nothing is. Raises `OSError` if it has no folder.

    It holds for the bytes that were read: let nobody else write to the folder from then on.
    """
    try:
        data = read_small(folder, ATTESTATION, ENVELOPE_LIMIT)
        payload, key = open_envelope(parse_envelope(data), keys)
        statement = parse_statement(payload)
    except NotVerified as error:
        return Verification(problems=[_named(error.problem)])
    problems = [
        *check_files(folder, statement.files, required.allowed),
        *_falls_short(statement.predicate, required),
    ]
    return Verification(problems=problems, key=key, predicate=statement.predicate)


def _named(problem: Problem) -> Problem:
    """That there is no attestation at all is told apart from any other file that is missing."""
    if (problem.code, problem.subject) == ("file_missing", ATTESTATION):
        why = "there is none: the gate publishes one with each result if it has a signing key"
        return Problem(code="attestation_missing", subject=ATTESTATION, message=why)
    return problem


def _falls_short(predicate: Predicate, required: Requirements) -> Iterator[Problem]:
    if required.policy is not None:
        weaker = below_floor(predicate.policy, required.policy)
        if weaker:
            yield _short("policy_below_floor", f"weaker than required: {', '.join(weaker)}")
    if required.engine is not None:
        version = predicate.engine.version
        if not re.fullmatch(VERSION_PATTERN, version) or _parts(version) < _parts(required.engine):
            yield _short("engine_too_old", f"{version}, required is {required.engine} or later")
    if required.alignments is not None and predicate.alignment.id not in required.alignments:
        yield _short("alignment_not_allowed", f"{predicate.alignment.id} is none of those required")
    if required.verdicts is not None and predicate.verdict not in required.verdicts:
        yield _short("verdict_not_allowed", f"{predicate.verdict} is none of those required")


def _short(code: str, message: str) -> Problem:
    return Problem(code=code, subject=code.partition("_")[0], message=message)


def _parts(version: str) -> list[int]:
    """Padded, so that 1.0 is no earlier than 1."""
    parts = [int(part) for part in version.split(".")]
    return parts + [0] * (4 - len(parts))
