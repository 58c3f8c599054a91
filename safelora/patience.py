"""When a request is sent again, and for how long."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

TRANSIENT: Final = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Patience:
    """How long a gate is asked again that does not answer, or says later: `seconds` in all, with
    pauses that double from `first_pause` to `longest_pause`. With 0 seconds nothing is repeated.
    """

    seconds: float = 60.0
    first_pause: float = 0.5
    longest_pause: float = 8.0

    def pause(self, tries: int, waited: float, asked: float | None, chance: float) -> float | None:
        """Seconds until the next try after `tries` that came to nothing; None to give up.

        `asked` is the gate's Retry-After: no try comes before it. `chance` in [0, 1) takes up to
        half of the pause away, so that many clients do not come back at once.
        """
        doubled = self.first_pause * 2.0 ** min(tries - 1, 60)
        pause = min(self.longest_pause, doubled) * (1.0 - chance / 2.0)
        pause = max(pause, asked or 0.0)
        return pause if waited + pause <= self.seconds else None


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that the answer asks to wait, from a number or a date; None for what is neither."""
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _until(text, now or datetime.now(UTC))
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _until(text: str, now: datetime) -> float:
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return math.nan
    aware = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
