"""How fast a connection has to be: one that only drips would hold its reader for days."""

SLOWEST = 16 << 10  # bytes a second
WINDOW = 60.0  # seconds of waiting that are judged together


class Pace:
    """Of one connection. Only the time that its reader waited for bytes is counted."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._bytes = 0

    def is_lost(self, count: int, seconds: float) -> bool:
        """Whether the connection is too slow, now that `count` bytes took `seconds` more."""
        self._seconds += seconds
        self._bytes += count
        if self._seconds < WINDOW:
            return False
        slow = self._bytes < SLOWEST * self._seconds
        self._seconds, self._bytes = 0.0, 0
        return slow
