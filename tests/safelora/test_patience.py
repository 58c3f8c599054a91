"""When to try again, and when to give up."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelora import Patience
from safelora.patience import retry_after

seconds = st.floats(0, 1e6)
chances = st.floats(0, 1, exclude_max=True)
NOW = datetime(2026, 11, 27, 12, 0, 0, tzinfo=UTC)


@settings(deadline=None)
@given(
    whole=seconds,
    first=st.floats(0.01, 10),
    longest=st.floats(0.01, 100),
    tries=st.integers(1, 10**6),
    waited=seconds,
    asked=st.none() | seconds,
    chance=chances,
)
def test_pause_keeps_within_bounds(
    whole: float,
    first: float,
    longest: float,
    tries: int,
    waited: float,
    asked: float | None,
    chance: float,
) -> None:
    """Never before the gate asks for, never beyond the whole, and of no more than the longest
    pause that nobody asked for."""
    pause = Patience(whole, first, longest).pause(tries, waited, asked, chance)
    least = max(asked or 0.0, min(first, longest) / 2)
    if pause is None:
        assert waited + max(asked or 0.0, longest) > whole
    else:
        assert least <= pause <= max(longest, asked or 0.0)
        assert waited + pause <= whole


@settings(deadline=None)
@given(tries=st.integers(1, 2000), chance=chances)
def test_pauses_never_get_shorter(tries: int, chance: float) -> None:
    pauses = [Patience(1e9).pause(n, 0.0, None, chance) or 0.0 for n in (tries, tries + 1)]
    assert pauses[0] <= pauses[1]


def test_no_patience_means_one_try() -> None:
    assert Patience(seconds=0).pause(1, 0.0, None, 0.99) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("Fri, 27 Nov 2026 12:00:30 GMT", 30.0),
        ("Fri, 27 Nov 2026 11:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("inf", None),
        ("nan", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str, expected: float | None) -> None:
    """Anything else says nothing."""
    assert retry_after({"Retry-After": text}, NOW) == expected


@settings(deadline=None)
@given(st.text())
def test_no_header_breaks_the_client(text: str) -> None:
    found = retry_after({"Retry-After": text}, NOW)
    assert found is None or found >= 0
