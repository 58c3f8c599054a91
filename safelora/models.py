"""What a gate answers. Made for gates of other versions too: what is unknown is kept as it came
(`model_extra`), states and verdicts are text, and what an older gate does not send has a default.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["queued", "running", "succeeded", "rejected", "failed", "cancelled"] | str
Verdict = Literal["projected", "unchanged", "scored", "rejected"] | str
DeliveryState = Literal["pending", "delivered", "failed", "gone"] | str
AlignmentState = Literal["building", "ready", "failed"] | str


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)


class Version(Answer):
    engine: str


class Failure(Answer):
    """`code` is stable; `message` says what to do."""

    code: str
    message: str


class Progress(Answer):
    """Where a worker is: the stage, and modules done of all where that is known."""

    stage: str = ""
    done: int = 0
    total: int = 0


class Finding(Answer):
    """What was found in an adapter, where, what came of it (`outcome`), and what to do."""

    code: str
    severity: str = ""
    outcome: str = ""
    kind: str = ""
    subject: str = ""
    detail: str = ""
    why: str = ""
    action: str = ""


class Summary(Answer):
    """The report in a few numbers; `retained`: norm of the whole update after over before."""

    modules: int = 0
    projected: int = 0
    borderline: int = 0
    zero_updates: int = 0
    stripped: int = 0
    suspicious: int = 0
    retained: float | None = None
    cosine_min: float | None = None
    cosine_median: float | None = None
    cosine_max: float | None = None


class FileFacts(Answer):
    name: str
    size: int
    sha256: str | None = None


class JobAlignment(Answer):
    """The name asked for, and the alignment it stood for when the job was accepted."""

    name: str
    id: str


class Job(Answer):
    """A job. `verdict`, `summary` and `findings` come with the result, `progress` before it."""

    id: str
    state: State
    verdict: Verdict | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    alignment: JobAlignment | None = None
    policy: dict[str, Any] = {}
    below_floor: list[str] = []
    source: str = "upload"
    input: list[FileFacts] = []
    summary: Summary | None = None
    findings: list[Finding] = []
    findings_total: int = 0
    error: Failure | None = None
    progress: Progress | None = None
    timings: dict[str, float] = {}
    from_earlier_result: bool = False
    metadata: dict[str, str] = {}
    destination: str | None = None
    callback_url: str | None = None
    retry_of: str | None = None
    links: dict[str, str] = {}

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it, whatever the states are called."""
        return self.finished_at is not None

    @property
    def published(self) -> bool:
        """Whether there is a sanitized adapter to download."""
        return "adapter" in self.links


class JobPage(Answer):
    jobs: list[Job]
    next_cursor: str | None = None


class Attempt(Answer):
    """`status` of the receiver's answer, if there was one; `error` is a code, None once it took
    it."""

    at: str = ""
    seconds: float = 0.0
    status: int | None = None
    error: str | None = None


class Delivery(Answer):
    """The end of a job told to one receiver. `webhook_id` is None for the job's own callback."""

    id: str
    webhook_id: str | None = None
    type: str = ""
    url: str = ""
    state: DeliveryState
    attempts: list[Attempt] = []
    next_attempt_at: str | None = None


class DeliveryList(Answer):
    deliveries: list[Delivery]


class ModuleRow(Answer):
    """One adapted module; docs/method.md says what the numbers mean."""

    name: str
    layer: int | None = None
    family: str = ""
    rank: int = 0
    scaling: float | None = None
    out_features: int | None = Field(default=None, alias="out")
    in_features: int | None = Field(default=None, alias="in")
    cosine: float | None = None
    baseline: float | None = None
    signed: float | None = None
    undo: float | None = None
    energy: float | None = None
    retained: float | None = None
    update_ratio: float | None = None
    projected: bool = False
    borderline: bool = False
    reason: str = ""


class ReportFiles(Answer):
    files: list[FileFacts] = []


class Report(Answer):
    """The report, layer by layer. `output` has the sanitized files by their SHA-256, and is None
    where none were published."""

    verdict: Verdict
    summary: Summary = Summary()
    modules: list[ModuleRow] = []
    findings: list[Finding] = []
    alignment: dict[str, Any] | None = None
    policy: dict[str, Any] = {}
    input: ReportFiles = ReportFiles()
    output: ReportFiles | None = None
    engine: dict[str, Any] = {}


class Event(Answer):
    """Something that happened to a job: `job` comes with `state`, `progress` with `progress`.

    `name` may be one that this version does not know, with the data as it came. `id` is empty for
    a state of the moment.
    """

    name: str
    id: str = ""
    job: Job | None = None
    progress: Progress | None = None
    data: dict[str, Any] = {}


class Warned(Answer):
    """A sign that a pair is not the one that was meant."""

    code: str
    message: str


class Alignment(Answer):
    """What a name stands for; `id` once it is ready."""

    name: str
    state: AlignmentState
    id: str | None = None
    base: str | None = None
    aligned: str | None = None
    modules: list[str] | None = None
    base_names: list[str] = []
    dtype: str | None = None
    rank: int | None = None
    default_policy: dict[str, Any] = {}
    floor: dict[str, Any] | None = None
    error: Failure | None = None
    warnings: list[Warned] = []
    progress: Progress | None = None
    created_at: str | None = None
    finished_at: str | None = None

    @property
    def ready(self) -> bool:
        return self.id is not None


class AlignmentPage(Answer):
    alignments: list[Alignment]
