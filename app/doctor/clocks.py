"""Whether others' clocks say what this machine's does."""

import time

from app.doctor.check import Check, failed, ok, warning

NOTICED_SECONDS = 2.0
"""What is told: a store's times have no more than whole seconds."""
HARMFUL_SECONDS = 30.0

_DO = "have NTP set the clocks of both machines"


def clock_check(name: str, theirs: float, before: float) -> Check:
    """`theirs`: what the other clock said, some time from `before` until now, in seconds since
    1970."""
    after = time.time()
    skew = max(before - theirs, theirs - after, 0.0)
    found = f"{skew:.1f} s off this machine's"
    if skew >= HARMFUL_SECONDS:
        return failed(name, f"{found}: keys, leases and signed URLs end at the wrong time", _DO)
    return warning(name, found, _DO) if skew > NOTICED_SECONDS else ok(name, "as this machine's")
