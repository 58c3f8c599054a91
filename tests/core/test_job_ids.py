"""A job's id: when it was made, and its place among the others."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.jobs import created_ms, ids_from, new_job_id

moments = st.integers(0, (1 << 48) - 1)  # milliseconds since 1970
endings = st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=16, max_size=16)


def test_an_id_says_when_it_was_made() -> None:
    """To the millisecond."""
    before = int(time.time() * 1000)
    made = created_ms(new_job_id())
    assert before <= made <= time.time() * 1000


@given(ms=moments, ending=endings)
def test_any_moment_is_kept(ms: int, ending: str) -> None:
    """Whatever the random part is."""
    assert created_ms(ids_from(ms) + ending) == ms


@given(cut=moments, ms=moments, ending=endings)
def test_newer_ids_sort_first(cut: int, ms: int, ending: str) -> None:
    """A listing that starts at a moment has the ids made then and before, and no others."""
    assert (ids_from(ms) + ending > ids_from(cut)) == (ms <= cut)


@pytest.mark.parametrize(
    "text", ["", "README.md", "z" * 26, "8" + "0" * 25, "0" * 27, "0" * 25 + "u"]
)
def test_what_is_no_id_has_no_age(text: str) -> None:
    """Nor what only looks like one: it would be older than all jobs."""
    with pytest.raises(ValueError, match="is no job id"):
        created_ms(text)
