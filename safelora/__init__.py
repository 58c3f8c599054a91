"""A client of Safe LoRA Gate: `Gate` blocks, `AsyncGate` is awaited; both do the same."""

from safelora.async_gate import AsyncGate
from safelora.errors import (
    AlignmentFailed,
    DownloadDamaged,
    GateError,
    GateFailed,
    NoGate,
    RequestRefused,
    TooLate,
    Unavailable,
    UsageError,
)
from safelora.gate import Gate
from safelora.models import (
    Alignment,
    Delivery,
    Event,
    Finding,
    Job,
    ModuleRow,
    Progress,
    Report,
    Summary,
)
from safelora.patience import Patience

__all__ = [
    "Alignment",
    "AlignmentFailed",
    "AsyncGate",
    "Delivery",
    "DownloadDamaged",
    "Event",
    "Finding",
    "Gate",
    "GateError",
    "GateFailed",
    "Job",
    "ModuleRow",
    "NoGate",
    "Patience",
    "Progress",
    "Report",
    "RequestRefused",
    "Summary",
    "TooLate",
    "Unavailable",
    "UsageError",
]
