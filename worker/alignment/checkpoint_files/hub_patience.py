"""Asking a hub again: after a pause, and not for ever."""

from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import TypeVar

from httpx2 import HTTPError
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

from worker.alignment.checkpoint_files.hub_errors import may_pass

PAUSE = 0.25  # seconds after the first failure; each pause is twice the one before

_TOO_MANY = 429
_TRIES = 5  # failures in a row
_LONGEST = 120.0  # seconds, whatever the hub asks for: all of them outlast its windows of 300
_PROGRESS = 1 << 20  # bytes that make a failure the first in its row

T = TypeVar("T")


class Patience:
    """With one reader of one file, or one question; it ends once `given_up` is set."""

    def __init__(self, given_up: Event) -> None:
        self._given_up = given_up
        self._failures = 0
        self._failed_at = 0

    def after(self, error: HTTPError, position: int = 0) -> None:
        """Returns after a pause, or raises `error` where another try is not worth it."""
        in_a_row = position - self._failed_at < _PROGRESS
        self._failures = self._failures + 1 if in_a_row else 1
        self._failed_at = position
        if self._failures >= _TRIES or not may_pass(error):
            raise error
        pause = max(_asked_for(error), PAUSE * 2 ** (self._failures - 1))
        if self._given_up.wait(min(pause, _LONGEST)):
            raise error


def patiently(ask: Callable[[], T]) -> T:
    """The answer to a question; raises httpx2's `HTTPError`."""
    patience = Patience(Event())
    while True:
        try:
            return ask()
        except HTTPError as error:
            patience.after(error)


def _asked_for(error: HTTPError) -> float:
    """Seconds until the hub wants to be asked again, 0 if it does not say."""
    if not isinstance(error, HfHubHTTPError):
        return 0.0
    headers = error.response.headers
    with suppress(ValueError):  # a number of thousands of digits
        limit = parse_ratelimit_headers(headers)
        if error.response.status_code == _TOO_MANY and limit is not None and limit.remaining == 0:
            return float(min(limit.reset_in_seconds, _LONGEST))
    text = headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0
