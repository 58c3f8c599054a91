"""A gate spoken to over HTTP, as the commands of the terminal do it."""

from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel, ValidationError

from app.access import is_loopback
from core.errors import GateError

PATIENCE_SECONDS: Final = 120.0  # a gate is started anew, or its machine is, during long work
_TRANSIENT: Final = frozenset({429, 502, 503, 504})

Answer = TypeVar("Answer", bound=BaseModel)
Show = Callable[[int, int], None]
"""Called while the gate is waited for, with how much is done of how much."""


class OrderRefused(GateError):
    """The gate does not take the request as it is; the message says what to change."""

    code = "order_refused"


class NoAnswer(GateError):
    """Nothing that answers as a gate does is at the address, or no longer."""

    code = "gate_unreachable"


class GateFailed(GateError):
    """The gate answered, and could not do its part; the message is its own."""

    code = "gate_failed"


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


def parsed(response: httpx2.Response, model: type[Answer]) -> Answer:
    """What the gate answered. Raises `OrderRefused`, `NoAnswer` or `GateFailed`."""
    if response.status_code in _TRANSIENT:
        raise NoAnswer(f"it answers {response.status_code}")
    if response.is_success:
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise OrderRefused("what answers at this address is no gate", code="no_gate") from error
    raise _refusal(response)


def _refusal(response: httpx2.Response) -> GateError:
    """The problem document as an error: the caller's to mend, or the gate's."""
    kind = OrderRefused if response.is_client_error else GateFailed
    try:
        problem = response.json()
        return kind(str(problem["detail"]), code=str(problem["code"]))
    except (ValueError, KeyError, TypeError):
        return OrderRefused(
            f"what answers at this address is no gate: it says {response.status_code}",
            code="no_gate",
        )
