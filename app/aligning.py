"""An alignment registered over HTTP, and waited for: what `safelora-gate align` does."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel, ValidationError

from app.access import is_loopback
from core.alignments import BuildFailure
from core.errors import GateError

POLL_SECONDS = 1.0
PATIENCE_SECONDS = 120.0  # a gate is started anew, or its machine is, while a build takes hours
_TRANSIENT: Final = frozenset({429, 502, 503, 504})
_REMOVED: Final = "alignment_not_found"

Show = Callable[[int, int], None]


class OrderRefused(GateError):
    """The gate does not take the registration as it is; the message says what to change."""

    code = "order_refused"


class NoAnswer(GateError):
    """Nothing that answers as a gate does is at the address, or no longer."""

    code = "gate_unreachable"


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


def open_client(url: str, key: str | None) -> httpx2.Client:
    """A client of the gate at `url`. Raises `ValueError` for what is no address, or no key."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the url must be as http://127.0.0.1:8000")
    if key is not None and not (key.isascii() and key.isprintable() and key.strip()):
        raise ValueError("the key holds characters that no key has")
    return httpx2.Client(
        base_url=url,
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=30.0,
        trust_env=not is_loopback(parts.hostname),  # no proxy is asked for the way to this machine
    )


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
    `NoAnswer` or `BuildFailed`.
    """
    try:
        seen = _parsed(client.post("/v1/alignments", json=order))
    except httpx2.TransportError as error:
        raise NoAnswer(f"the gate does not answer: {error}") from error
    registered, heard = seen.created_at, time.monotonic()
    while seen.state == "building":
        if seen.progress is not None:
            show(seen.progress.done, seen.progress.total)
        time.sleep(poll)
        try:
            seen = _parsed(client.get(f"/v1/alignments/{order['name']}"))
            heard = time.monotonic()
        except OrderRefused as error:  # it was taken before: the name was removed, or the key
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


def _lost(error: OrderRefused) -> BuildFailed:
    return BuildFailed(error.message, code=error.code)


def _parsed(response: httpx2.Response) -> _Alignment:
    if response.status_code in _TRANSIENT:
        raise NoAnswer(f"it answers {response.status_code}")
    if response.is_success:
        try:
            return _Alignment.model_validate_json(response.content)
        except ValidationError as error:
            raise OrderRefused("what answers at this address is no gate", code="no_gate") from error
    raise _refusal(response)


def _refusal(response: httpx2.Response) -> GateError:
    """The problem document as an error: the caller's to mend, or the gate's."""
    kind = OrderRefused if response.is_client_error else BuildFailed
    try:
        problem = response.json()
        return kind(str(problem["detail"]), code=str(problem["code"]))
    except (ValueError, KeyError, TypeError):
        return OrderRefused(
            f"what answers at this address is no gate: it says {response.status_code}",
            code="no_gate",
        )
