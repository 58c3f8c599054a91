"""When a delivery that failed is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from core.webhooks.schedule import LONGEST_ASKED, PAUSES, pause_after

MINUTE, HOUR = 60, 3600


def test_the_table_is_that_of_standard_webhooks() -> None:
    """Ten attempts; the first at once."""
    told = [pause_after(n, asked=None, chance=lambda: 0.0) for n in range(1, 11)]
    hours = [n * HOUR for n in (2, 5, 10, 14, 20, 24)]
    assert told == [5, 5 * MINUTE, 30 * MINUTE, *hours, None]


@given(
    st.integers(1, len(PAUSES)),
    st.none() | st.floats(0, 1e12),
    st.floats(0, 1, exclude_max=True),
)
def test_a_receiver_may_put_it_off_within_reason(
    attempts: int, asked: float | None, chance: float
) -> None:
    """Never sooner than the table says, never more than a day later than it asks."""
    pause = pause_after(attempts, asked=asked, chance=lambda: chance)
    assert pause is not None
    assert PAUSES[attempts - 1] <= pause <= max(PAUSES[attempts - 1] * 1.1, LONGEST_ASKED)
    if asked is not None and asked <= LONGEST_ASKED:
        assert pause >= asked
