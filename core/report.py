"""The layer-by-layer report of one adapter. Deterministic: no time, no path, no job, no device."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from core.canonical import Json, pretty_json
from core.findings import Finding
from core.model import Frozen
from core.policy import Policy
from core.selection import Choice, Reason

SCHEMA: Literal["safelora-gate/report/1"] = "safelora-gate/report/1"
ENGINE_NAME = "safelora-gate"
ENGINE_VERSION = "0.2.0"

Verdict = Literal["unchanged", "projected", "scored", "rejected"]


class _Described(Frozen):
    """What is said of a field stands below it, and goes into the JSON schema."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class ModuleRow(_Described):
    """One adapted module. Symbols as in docs/method.md; W is the aligned weight, V = W - W_base.
    "Without V": the policy's `scores` is `spectrum`."""

    name: str
    """its path, without `base_model.model.`"""
    layer: int | None
    """the first number in the path; null if there is none"""
    family: str
    """the last word of the path"""
    rank: int
    scaling: float
    """s in s·B·A: alpha / rank, or alpha / √rank"""
    out_features: int = Field(alias="out")
    """rows of W"""
    in_features: int = Field(alias="in")
    """columns of W"""
    cosine: float | None
    """<C·B·A, B·A> / (‖C·B·A‖·‖B·A‖); null for a zero update, and without V"""
    baseline: float
    """the cosine a random update of this shape would have"""
    signed: float | None
    """<s·B·A, V> / (‖s·B·A‖·‖V‖); null as the cosine is"""
    undo: float | None
    """signed, relative to the best an update in as many directions could do; -1 undoes V;
    directions that hold 1 % of the update count, not the rank it claims; null as the cosine is"""
    energy: float | None
    """share of ‖B·A‖² in V's top left singular directions"""
    input_energy: float | None
    """share of ‖B·A‖² that reads V's top right singular directions"""
    directions: int | None
    """how many of V's directions the method uses here; null if it uses none"""
    purity: float | None
    """1 where the update writes along a single singular direction of V"""
    confined: float | None
    """1 where it writes within V's top directions only"""
    retained: float | None
    """‖update after‖ / ‖update before‖ under the method, chosen or not"""
    update_ratio: float | None
    """s·‖B·A‖_F / ‖W‖_F; null where W = 0"""
    projected: bool
    """chosen, and changed unless the policy's strength is 0"""
    borderline: bool
    """within 0.005 of the cut that applied"""
    reason: Reason
    """why it was chosen, or was not"""
    refactored: bool = False
    """the factors cancelled, or would not bear 16 bits, and were factored anew"""
    widened: bool = False
    """stored in float32: the upload's dtype would have lost over 1 % of the update"""


class Summary(_Described):
    """The rows in a few numbers; no cosine where the rows have none."""

    modules: int = 0
    projected: int = 0
    borderline: int = 0
    zero_updates: int = 0
    stripped: int = 0
    """findings of what was left out"""
    suspicious: int = 0
    """findings that are signs of an attack on the method"""
    retained: float | None = None
    """norm of the whole update after over before"""
    cosine_min: float | None = None
    cosine_median: float | None = None
    cosine_max: float | None = None


class FileFacts(_Described):
    name: str
    size: int
    """bytes"""
    sha256: str
    """hexadecimal"""


class InputFacts(_Described):
    """What came in."""

    files: list[FileFacts] = []
    base_model_name_or_path: str | None = None
    """the upload's claim, shown and never followed"""


class OutputFacts(_Described):
    """What went out."""

    files: list[FileFacts] = []
    """the adapter's"""
    widened: list[str] = []
    """modules stored wider than they came"""
    verified: int = 0
    """modules that were read back and found to be what was meant"""


class AlignmentFacts(_Described):
    """Which alignment judged."""

    id: str
    name: str | None = None
    """null for one made of a pair, offline"""
    rank: int
    """how many singular directions of V are stored"""
    storage_loss: float
    """its largest ‖V - V stored‖_F / ‖V‖_F"""


class EngineFacts(_Described):
    """What wrote it."""

    name: str = ENGINE_NAME
    version: str = ENGINE_VERSION


class Report(_Described):
    """What a gate found in one adapter, and what it did with it."""

    schema_: Annotated[Literal["safelora-gate/report/1"], Field(alias="schema")] = SCHEMA
    verdict: Verdict
    """`scored`: the policy only scores, so no adapter was published"""
    summary: Summary = Summary()
    modules: list[ModuleRow] = []
    """in the order of their paths; none in a report of a rejection"""
    findings: list[Finding] = []
    alignment: AlignmentFacts | None
    policy: Policy
    input: InputFacts
    output: OutputFacts | None = None
    """null where nothing was published"""
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
