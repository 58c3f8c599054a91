"""What another process does soon, and a test waits for."""

import time
from collections.abc import Callable


def soon(is_so: Callable[[], bool], *, seconds: float = 40.0) -> bool:
    """Whether it gets so in that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_so():
            return True
        time.sleep(0.05)
    return False
