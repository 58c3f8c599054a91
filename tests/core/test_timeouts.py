"""How long a job may run: longer for a larger input, and never less than the base."""

import pytest

from core.settings import QueueSettings
from core.timeouts import job_timeout

GIB = 2**30


@pytest.mark.parametrize(
    ("input_bytes", "seconds"),
    [(0, 900), (1, 901), (GIB // 2, 1350), (GIB, 1800), (GIB + 1, 1801), (8 * GIB, 8100)],
)
def test_the_timeout_grows_with_the_bytes(input_bytes: int, seconds: int) -> None:
    """900 s, and 900 s more for every GiB, in proportion; a part of a second counts as one."""
    settings = QueueSettings(job_timeout=900, job_timeout_per_gib=900)
    assert job_timeout(settings, input_bytes) == seconds


def test_an_input_of_petabytes_is_counted_exactly() -> None:
    """No float is on the way: one byte more is still one second more."""
    settings = QueueSettings(job_timeout=1, job_timeout_per_gib=1)
    assert job_timeout(settings, 2**70) == 1 + 2**40
    assert job_timeout(settings, 2**70 + 1) == 2 + 2**40


def test_the_operator_may_leave_the_size_out() -> None:
    """Nothing per GiB: the base, whatever the input."""
    settings = QueueSettings(job_timeout=60, job_timeout_per_gib=0)
    assert job_timeout(settings, 8 * GIB) == 60
