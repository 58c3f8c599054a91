"""An alignment registered over HTTP, and waited for: what `safelora-gate align` does."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx2
from pydantic import BaseModel

from app.client import PATIENCE_SECONDS, GateFailed, NoAnswer, OrderRefused, Show, parsed
from core.alignments import BuildFailure
from core.errors import GateError

POLL_SECONDS = 1.0
_REMOVED: Final = "alignment_not_found"


class BuildFailed(GateError):
    """There will be no alignment of this order; the message is the record's, or the gate's."""

    code = "build_failed"


class Warned(BaseModel):
    """A sign that the pair is not the one that was meant, of whichever codes the gate knows."""

    code: str
    message: str


@dataclass(frozen=True)
class Built:
    """An alignment that is ready."""

    id: str
    warnings: Sequence[Warned]


class _Progress(BaseModel):
    done: int
    total: int


class _Alignment(BaseModel):
    """What is needed of `GET /v1/alignments/{name}`."""

    state: Literal["building", "ready", "failed"]
    id: str | None
    error: BuildFailure | None
    warnings: list[Warned] = []
    progress: _Progress | None
    created_at: str


def align(
    client: httpx2.Client,
    order: Mapping[str, Any],
    show: Show,
    *,
    poll: float = POLL_SECONDS,
    patience: float = PATIENCE_SECONDS,
) -> Built:
    """Register the pair and wait until it is ready; calls `show(done, total)`.

    Seconds: `poll` between two looks, `patience` without an answer. Raises `OrderRefused`,
    `NoAnswer`, `GateFailed` or `BuildFailed`.
    """
    try:
        seen = parsed(client.post("/v1/alignments", json=order), _Alignment)
    except httpx2.TransportError as error:
        raise NoAnswer(f"the gate does not answer: {error}") from error
    registered, heard = seen.created_at, time.monotonic()
    while seen.state == "building":
        if seen.progress is not None:
            show(seen.progress.done, seen.progress.total)
        time.sleep(poll)
        try:
            seen = parsed(client.get(f"/v1/alignments/{order['name']}"), _Alignment)
            heard = time.monotonic()
        except (OrderRefused, GateFailed) as error:  # taken before: the name, or the key, is gone
            raise _removed() if error.code == _REMOVED else _lost(error) from error
        except (httpx2.TransportError, NoAnswer) as error:
            if time.monotonic() - heard > patience:
                raise NoAnswer(
                    f"the gate no longer answers: {error}. The build is kept: run the same command"
                    " again once it does"
                ) from error
        if seen.created_at != registered:  # what is built now may be another pair
            raise _removed()
    if seen.id is None:
        failure = seen.error or BuildFailure(code=BuildFailed.code, message="the build failed")
        raise BuildFailed(failure.message, code=failure.code)
    return Built(seen.id, seen.warnings)


def _removed() -> BuildFailed:
    return BuildFailed(
        "the name was removed while its alignment was being built, and may have been registered"
        " anew since. What was finished is kept for a week: the same command goes on from there",
        code=_REMOVED,
    )


def _lost(error: GateError) -> BuildFailed:
    return BuildFailed(error.message, code=error.code)
