"""calibration.json: everything that was compared, what is proposed, and whether it should be."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from core.calibration.choice import (
    MARGIN,
    Candidate,
    Effects,
    HeldOut,
    Verdict,
    choose,
    hold_out,
    judge,
)
from core.calibration.effect import area, lost, taken_out
from core.calibration.knobs import Knob, KnobName, Setting
from core.calibration.measured import Kind, Measured
from core.canonical import Json, pretty_json
from core.model import Frozen
from core.policy import MethodName, Policy
from core.report import EngineFacts, FileFacts

SCHEMA: Literal["safelora-gate/calibration/1"] = "safelora-gate/calibration/1"


class CalibratedAlignment(Frozen):
    name: str
    id: str


class CalibratedAdapter(Frozen):
    """One adapter that was compared. `taken`: the share of its update that the proposal takes out,
    null without one; of a benign adapter what it loses."""

    name: str
    kind: Kind
    files: list[FileFacts]
    modules: int
    taken: float | None


class Proposal(Frozen):
    """The setting, and the default policy that it would make."""

    candidate: Candidate
    policy: Policy


class Calibration(Frozen):
    """`area`: of cosines of hostile modules below those of benign ones; null where none was
    computed. `keep`: of its norm, by every benign adapter. `held_out`: null with too few adapters.
    """

    schema_: Annotated[Literal["safelora-gate/calibration/1"], Field(alias="schema")] = SCHEMA
    alignment: CalibratedAlignment
    method: MethodName
    by: KnobName
    keep: Annotated[float, Field(gt=0.0, le=1.0)]
    margin: float = MARGIN
    adapters: list[CalibratedAdapter]
    area: float | None
    candidates: list[Candidate]
    proposal: Proposal | None
    held_out: HeldOut | None
    verdict: Verdict
    engine: EngineFacts = EngineFacts()

    @property
    def recommended(self) -> bool:
        return self.verdict == "recommended"

    def count(self, kind: Kind) -> int:
        return sum(adapter.kind == kind for adapter in self.adapters)

    def as_bytes(self) -> bytes:
        dumped: Json = self.model_dump(mode="json", by_alias=True)
        return pretty_json(dumped)


def compare(
    alignment: CalibratedAlignment,
    knob: Knob,
    adapters: Sequence[Measured],
    *,
    method: MethodName,
    by: KnobName,
    keep: float,
) -> Calibration:
    """Compare every setting of the knob on these adapters, at least one of each kind."""
    hostile = [a for a in adapters if a.kind == "hostile"]
    benign = [a for a in adapters if a.kind == "benign"]
    settings = knob.settings(adapters)
    effects = Effects(
        [s.value for s in settings],
        [[taken_out(a.rows[s.probe], s.policy) for a in hostile] for s in settings],
        [[lost(a.rows[s.probe], s.policy) for a in benign] for s in settings],
    )
    candidates = effects.candidates()
    index = choose(candidates, keep)
    chosen = None if index is None else settings[index]
    proposal = None
    if index is not None and chosen is not None:
        proposal = Proposal(candidate=candidates[index], policy=chosen.policy)
    held_out = None if proposal is None else hold_out(effects, keep)
    return Calibration(
        alignment=alignment,
        method=method,
        by=by,
        keep=keep,
        adapters=[_compared(a, chosen) for a in adapters],
        area=area(_cosines(hostile), _cosines(benign)),
        candidates=candidates,
        proposal=proposal,
        held_out=held_out,
        verdict=judge(proposal.candidate if proposal else None, held_out),
    )


def _compared(adapter: Measured, chosen: Setting | None) -> CalibratedAdapter:
    taken = None
    if chosen is not None:
        effect = taken_out if adapter.kind == "hostile" else lost
        taken = effect(adapter.rows[chosen.probe], chosen.policy)
    return CalibratedAdapter(
        name=adapter.name,
        kind=adapter.kind,
        files=list(adapter.files),
        modules=len(adapter.rows[0]),
        taken=taken,
    )


def _cosines(adapters: Sequence[Measured]) -> list[float]:
    return [row.cosine for a in adapters for row in a.rows[0] if row.cosine is not None]
