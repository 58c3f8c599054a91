"""When a delivery that failed is tried again."""

from collections.abc import Callable
from typing import Final

PAUSES: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds after the first attempt, after the second, …: ten attempts in some 76 hours."""

JITTER: Final = 0.1
LONGEST_ASKED: Final = 86_400  # seconds that a receiver may put the next attempt off


def pause_after(attempts: int, *, asked: float | None, chance: Callable[[], float]) -> float | None:
    """Seconds until the next attempt after so many in a row; None if there is none.

    Up to a tenth longer than the table says, by `chance` (0 to 1), so that what failed together
    does not come back together. `asked` is the receiver's Retry-After: later than the table if it
    says so, up to a day.
    """
    if attempts > len(PAUSES):
        return None
    pause = PAUSES[attempts - 1] * (1 + JITTER * chance())
    return pause if asked is None else max(pause, min(asked, LONGEST_ASKED))
