"""What the gate said of one adapter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.report import FileFacts, ModuleRow

Kind = Literal["benign", "hostile"]


@dataclass(frozen=True)
class Measured:
    """An adapter's rows under each of a knob's probes, in their order; `kind` is the operator's
    word."""

    name: str
    kind: Kind
    files: Sequence[FileFacts]
    rows: Sequence[Sequence[ModuleRow]]
