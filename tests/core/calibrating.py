"""Rows and adapters as a gate would report them, made up."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from core.calibration.knobs import Knob, KnobName, knob_of
from core.calibration.measured import Kind, Measured
from core.calibration.record import CalibratedAlignment, Calibration, compare
from core.policy import MethodName, Policy
from core.report import FileFacts, ModuleRow

Module = tuple[float, float, float]
"""cosine, retained, update_ratio"""

MODULES = st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.01, 1.0))
GROWING = st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 3.0), st.floats(0.01, 1.0))


def row(name: str, module: Module, **fields: Any) -> ModuleRow:
    cosine, retained, ratio = module
    return ModuleRow(
        **{
            "name": name,
            "layer": 0,
            "family": "q_proj",
            "rank": 8,
            "scaling": 2.0,
            "out_features": 64,
            "in_features": 64,
            "cosine": cosine,
            "baseline": 0.2,
            "signed": 0.0,
            "undo": 0.0,
            "energy": 0.1,
            "input_energy": 0.1,
            "directions": None,
            "purity": 0.1,
            "confined": 0.1,
            "retained": retained,
            "update_ratio": ratio,
            "projected": False,
            "borderline": False,
            "reason": "score_only",
            **fields,
        }
    )


def rows(modules: Sequence[Module]) -> list[ModuleRow]:
    return [row(f"layers.{index}.q_proj", module) for index, module in enumerate(modules)]


def adapter(name: str, kind: Kind, scored: Sequence[Sequence[Module]]) -> Measured:
    """An adapter with these modules under each probe."""
    files = [FileFacts(name="x", size=1, sha256=name)]
    return Measured(name, kind, files, [rows(modules) for modules in scored])


def compared(
    knob: Knob,
    hostile: Sequence[Sequence[Sequence[Module]]],
    benign: Sequence[Sequence[Sequence[Module]]],
    *,
    method: MethodName = "safe_lora",
    by: KnobName = "threshold",
    keep: float = 0.95,
) -> Calibration:
    """Of adapters given by their modules under each of the knob's probes."""
    adapters = [
        *(adapter(f"benign-{i}", "benign", scored) for i, scored in enumerate(benign)),
        *(adapter(f"hostile-{i}", "hostile", s) for i, s in enumerate(hostile)),
    ]
    alignment = CalibratedAlignment(name="tiny", id="a" * 40)
    return compare(alignment, knob, adapters, method=method, by=by, keep=keep)


def by_threshold(
    hostile: Sequence[Sequence[Module]], benign: Sequence[Sequence[Module]], *, keep: float = 0.95
) -> Calibration:
    """The one probe of a threshold, so one list of modules an adapter."""
    knob = knob_of("safe_lora", "threshold", Policy(), 64)
    return compared(knob, [[h] for h in hostile], [[b] for b in benign], keep=keep)
