"""An alignment registered over HTTP, and waited for: what `safelora-gate align` does."""

from collections.abc import Mapping
from typing import Any

from app.terminal.gates import once_it_answers
from app.terminal.output import Show
from safelora import (
    Alignment,
    AlignmentFailed,
    Gate,
    GateFailed,
    NoGate,
    Progress,
    RequestRefused,
)

POLL_SECONDS = 1.0
_QUEUED = "queued"


def align(
    gate: Gate, order: Mapping[str, Any], show: Show, *, poll: float = POLL_SECONDS
) -> Alignment:
    """Register the pair and wait until it is ready; calls `show` as it goes on.

    `poll`: seconds between two looks. Raises `AlignmentFailed` once the pair is registered, and
    before it what `Gate.register` does; `Unavailable` at any time.
    """
    registered = gate.register(**order)

    def seen(found: Alignment) -> None:
        at = found.progress or Progress(stage=_QUEUED)
        show(at.done, at.total, at.stage)

    try:
        with once_it_answers("The build is kept"):
            return gate.wait_for_alignment(registered, poll=poll, seen=seen)
    except (RequestRefused, GateFailed, NoGate) as error:  # taken before: the key is gone, say
        raise AlignmentFailed(error.detail, code=error.code) from error
