"""A job: what was asked, how it ended, and the states between."""

import re
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from core.canonical import Json, digest, pretty_json
from core.findings import Finding
from core.model import Frozen
from core.policy import Policy
from core.report import ENGINE_VERSION, FileFacts, Summary, Verdict

JOB_ID_PATTERN = r"^[0-9a-hjkmnp-tv-z]{26}$"
TENANT_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


FinalState = Literal[JobState.SUCCEEDED, JobState.REJECTED, JobState.FAILED, JobState.CANCELLED]


def new_job_id() -> str:
    """26 characters: inverted milliseconds, so that newer ids sort first, then 80 random bits."""
    inverted = (1 << 48) - 1 - int(time.time() * 1000)
    number = (inverted << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def created_ms(job_id: str) -> int:
    """When the id was made, in milliseconds since 1970. Raises `ValueError` for what is no id."""
    made = -1
    if re.fullmatch(JOB_ID_PATTERN, job_id):
        inverted = sum(_CROCKFORD.index(c) << 5 * n for n, c in enumerate(reversed(job_id[:10])))
        made = (1 << 48) - 1 - inverted
    if made < 0:
        raise ValueError(f"{job_id!r} is no job id")
    return made


def ids_from(ms: int) -> str:
    """What the ids of jobs made in this millisecond begin with: they and older ones sort after."""
    inverted = (1 << 48) - 1 - ms
    return "".join(_CROCKFORD[(inverted >> shift) & 31] for shift in range(45, -1, -5))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class InputFile(Frozen):
    """One file of the input: `key` in our store, or `uri` and `etag` for a pinned source.

    `sha256` is known of what came through the API; anything else is hashed when the worker reads
    it, and must then be `expected_sha256` if its sender said so.
    """

    name: str
    size: int
    sha256: str | None = None
    key: str | None = None
    uri: str | None = None
    etag: str | None = None
    expected_sha256: str | None = None


class AlignmentRef(Frozen):
    """The name the caller used and the id it stood for when the job was accepted."""

    name: str
    id: str
    base_names: list[str] = []


class JobRequest(Frozen):
    """What was accepted: stored before the 202, and never changed.

    `other_names`: files that came along and are not kept; the gate judges their names.
    `below_floor`: the fields of the policy that were weaker than the alignment's floor by then.
    `destination`: where in S3 the result is brought to as well; `callback_url`: who is told of its
    end. `retry_of`: the job that this one does again.
    """

    id: Annotated[str, Field(pattern=JOB_ID_PATTERN)]
    tenant: Annotated[str, Field(pattern=TENANT_PATTERN)]
    created_at: str
    alignment: AlignmentRef
    policy: Policy
    below_floor: list[str] = []
    files: list[InputFile]
    other_names: list[str] = []
    source: str = "upload"
    metadata: dict[str, str] = {}
    destination: str | None = None
    callback_url: str | None = None
    retry_of: Annotated[str, Field(pattern=JOB_ID_PATTERN)] | None = None

    def as_bytes(self) -> bytes:
        """Without what is later than 0.2.0 and says nothing, for versions that do not know it."""
        later = ("below_floor", "destination", "callback_url", "retry_of")
        silent = {name for name in later if not getattr(self, name)}
        dumped = self.model_dump(mode="json", exclude=silent)
        for file in dumped["files"]:
            if file["expected_sha256"] is None:
                del file["expected_sha256"]
        return pretty_json(dumped)


class Commit(Frozen):
    """The winner of a recipe: put once, conditionally. `output` is the folder of its files.

    `findings` holds the first few of each kind, `findings_total` how many there are; the report
    in the output has them all. `signing_key`: the id of the key that its attestation is signed
    with, of an adapter that is attested. `job`: the one that it was made for, whose input may be
    kept still.
    """

    recipe: str
    state: Literal[JobState.SUCCEEDED, JobState.REJECTED]
    verdict: Verdict
    output: str
    files: list[FileFacts]
    summary: Summary
    findings: list[Finding] = []
    findings_total: int = 0
    signing_key: str | None = None
    job: str | None = None

    @model_serializer(mode="wrap")
    def _without_silence(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what came later and says nothing, for versions that do not know it."""
        dumped: dict[str, Any] = dump(self)
        for name in ("signing_key", "job"):
            if dumped[name] is None:
                del dumped[name]
        return dumped

    def as_bytes(self) -> bytes:
        dumped: Json = self.model_dump(mode="json")
        return pretty_json(dumped)

    @property
    def of_no_job(self) -> "Commit":
        """What any job would have come to by the same recipe."""
        return self.model_copy(update={"job": None})

    def file(self, name: str) -> FileFacts | None:
        return next((file for file in self.files if file.name == name), None)


class JobFailure(Frozen):
    """`code` is stable; `message` says what to do."""

    code: str
    message: str


class JobResult(Frozen):
    """How a job ended, whatever the state: put once. `timings` in seconds a stage.

    `findings`: of a job that was set aside; those of a result are in its commit.
    """

    state: FinalState
    finished_at: str
    started_at: str | None = None
    recipe: str | None = None
    commit: Commit | None = None
    error: JobFailure | None = None
    findings: list[Finding] = []
    timings: dict[str, float] = {}
    from_earlier_result: bool = False

    def as_bytes(self) -> bytes:
        dumped: Json = self.model_dump(mode="json")
        return pretty_json(dumped)


class Progress(Frozen):
    """Where a running job is: the stage, and modules done of all where that is known."""

    stage: str
    done: int = 0
    total: int = 0
    started_at: str


def recipe_digest(
    file_digests: dict[str, str],
    alignment: AlignmentRef,
    policy: Policy,
    *,
    below_floor: Sequence[str] = (),
    other_names: Sequence[str] = (),
) -> str:
    """Everything the result depends on: input bytes and names, alignment, policy, engine.

    Of the alignment the names too, since the report and the written config carry them; so does the
    report what of the policy is below the floor.
    """
    files: Json = {**dict.fromkeys(other_names, ""), **file_digests}
    made_of: dict[str, Json] = {
        "files": files,
        "alignment": alignment.model_dump(mode="json"),
        "policy": policy.as_json(),
        "engine": ENGINE_VERSION,
    }
    if below_floor:
        made_of["below_floor"] = list(below_floor)
    return digest(made_of)[:40]
