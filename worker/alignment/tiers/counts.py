"""Which tier served how much."""

from collections import Counter
from threading import Lock
from typing import Final, Literal

Tier = Literal["ram", "disk", "redis", "store"]
TIERS: Final[tuple[Tier, ...]] = ("ram", "disk", "redis", "store")  # nearest first


class TierCounts:
    """Modules and bytes by the tier they came from; all that is added counts in `whole` too.

    A module counts once, for the farthest tier that one of its files came from. Safe to share
    between threads.
    """

    def __init__(self, whole: "TierCounts | None" = None) -> None:
        self.modules: Counter[Tier] = Counter()
        self.bytes: Counter[Tier] = Counter()
        self._whole = whole
        self._lock = Lock()

    def add(self, served: Counter[Tier]) -> None:
        """One module, of which each tier in `served` gave so many bytes."""
        farthest = max(served, key=TIERS.index)
        with self._lock:
            self.modules[farthest] += 1
            self.bytes.update(served)
        if self._whole is not None:
            self._whole.add(served)

    def __str__(self) -> str:
        tiers = ", ".join(f"{tier} {self.modules[tier]}" for tier in TIERS)
        return f"{self.modules.total()} modules from {tiers}"
