"""The layer-by-layer report of one adapter. Deterministic: no time, no path, no job, no device."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from core.canonical import Json, pretty_json
from core.findings import Finding
from core.model import Frozen
from core.policy import Policy
from core.selection import Choice, Reason

SCHEMA: Literal["safelora-gate/report/1"] = "safelora-gate/report/1"
ENGINE_NAME = "safelora-gate"
ENGINE_VERSION = "0.2.0"

Verdict = Literal["unchanged", "projected", "scored", "rejected"]


class ModuleRow(Frozen):
    """One adapted module. Symbols as in docs/method.md; W is the aligned weight, V = W - W_base.
    "Without V": the policy's `scores` is `spectrum`.

    cosine        <C·B·A, B·A> / (‖C·B·A‖·‖B·A‖); null for a zero update, and without V
    baseline      the cosine a random update of this shape would have
    signed        <s·B·A, V> / (‖s·B·A‖·‖V‖); null as the cosine is
    undo          signed, relative to the best an update in as many directions could do; -1 undoes
                  V; directions that hold 1 % of the update count, not the rank it claims; null
                  as the cosine is
    energy        share of ‖B·A‖² in V's top left singular directions
    input_energy  share of ‖B·A‖² that reads V's top right singular directions
    directions    how many of V's directions the method uses here; null if it uses none
    purity        1 where the update writes along a single singular direction of V
    confined      1 where it writes within V's top directions only
    retained      ‖update after‖ / ‖update before‖ under the method, chosen or not
    update_ratio  s·‖B·A‖_F / ‖W‖_F; null where W = 0
    refactored    the factors cancelled, or would not bear 16 bits, and were factored anew
    widened       stored in float32: the upload's dtype would have lost over 1 % of the update
    """

    name: str
    layer: int | None
    family: str
    rank: int
    scaling: float
    out_features: int = Field(alias="out")
    in_features: int = Field(alias="in")
    cosine: float | None
    baseline: float
    signed: float | None
    undo: float | None
    energy: float | None
    input_energy: float | None
    directions: int | None
    purity: float | None
    confined: float | None
    retained: float | None
    update_ratio: float | None
    projected: bool
    borderline: bool
    reason: Reason
    refactored: bool = False
    widened: bool = False


class Summary(Frozen):
    """The rows in a few numbers. `retained`: norm of the whole update after over before;
    `stripped` and `suspicious` count findings; no cosine where the rows have none."""

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


class FileFacts(Frozen):
    name: str
    size: int
    sha256: str


class InputFacts(Frozen):
    """What came in. `base_model_name_or_path` is the upload's claim, shown and never followed."""

    files: list[FileFacts] = []
    base_model_name_or_path: str | None = None


class OutputFacts(Frozen):
    """What went out: the adapter's files, and the modules stored wider than they came."""

    files: list[FileFacts] = []
    widened: list[str] = []
    verified: int = 0


class AlignmentFacts(Frozen):
    """Which alignment judged. `storage_loss`: its largest ‖V - V stored‖_F / ‖V‖_F."""

    id: str
    name: str | None = None
    rank: int
    storage_loss: float


class EngineFacts(Frozen):
    name: str = ENGINE_NAME
    version: str = ENGINE_VERSION


class Report(Frozen):
    schema_: Annotated[Literal["safelora-gate/report/1"], Field(alias="schema")] = SCHEMA
    verdict: Verdict
    summary: Summary = Summary()
    modules: list[ModuleRow] = []
    findings: list[Finding] = []
    alignment: AlignmentFacts | None
    policy: Policy
    input: InputFacts
    output: OutputFacts | None = None
    engine: EngineFacts = EngineFacts()

    def as_json(self) -> Json:
        dumped: Json = self.model_dump(mode="json", by_alias=True)
        return dumped

    def as_bytes(self) -> bytes:
        """report.json. Raises ValueError rather than write a NaN."""
        return pretty_json(self.as_json())


def verdict(policy: Policy, choices: Iterable[Choice]) -> Verdict:
    """On an adapter that was let in, by what was chosen of it."""
    if not policy.publishes:
        return "scored"
    changed = policy.strength > 0.0 and any(choice.projected for choice in choices)
    return "projected" if changed else "unchanged"
