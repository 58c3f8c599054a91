"""How recovery is counted."""

import math
from itertools import chain, repeat

from chaos.recovery import Recovered, Recovery


def test_measures_until_the_probe_succeeds() -> None:
    """The probe is asked again as long as it fails."""
    answers = iter([False, True])
    seconds = Recovery(lambda: next(answers)).measure("kill api")
    assert 0.2 <= seconds < 2.0
    assert next(answers, None) is None


def test_a_service_that_stays_away_counts_as_infinite() -> None:
    """It shows as the longest, and is no error here."""
    assert Recovery(lambda: False, patience=0.0).measure("wipe valkey") == math.inf


def test_sums_up_by_fault() -> None:
    """Count, median and longest, each name on a row of its own."""
    answers = chain([True, True, False, False, True], repeat(False))
    recovery = Recovery(lambda: next(answers), patience=0.5)
    for fault in ("a", "a", "a", "b"):
        recovery.measure(fault)
    first, second = recovery.summary()
    assert (first.fault, first.count) == ("a", 3)
    assert first.median < 0.1 < first.longest
    assert second == Recovered("b", 1, math.inf, math.inf)
