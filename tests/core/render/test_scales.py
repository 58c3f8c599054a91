"""Numbers as colours."""

import math

from hypothesis import given
from hypothesis import strategies as st

from core.render.scales import MEASURES, SHADES, Scale, round_above, scales
from tests.core.render.made_up import row

FINITE = st.floats(allow_nan=False, allow_infinity=False)
COSINE, _, SIGNED, _ = MEASURES


@given(st.floats(1e-9, 1e9))
def test_an_end_is_round_and_just_above(value: float) -> None:
    """One digit, no smaller than the number, and less than twice as large."""
    end = round_above(value)
    assert value <= end < 2.001 * value
    assert float(f"{end:.0e}") == end


@given(FINITE)
def test_any_number_has_an_end(number: float) -> None:
    """Of numbers that are zero, vanishing or absurd too."""
    assert 0.0 < round_above(number) < math.inf


@given(FINITE, FINITE)
def test_a_larger_number_has_no_lower_shade(one: float, other: float) -> None:
    """Shades rise with numbers, and every number has one."""
    low, high = sorted((one, other))
    for scale in (Scale(COSINE, 0.0, 0.5), Scale(SIGNED, -0.5, 0.5)):
        shades = [scale.shades.index(scale.shade(number)) for number in (low, high)]
        assert 0 <= shades[0] <= shades[1] < SHADES


@given(st.floats(1e-6, 1.0))
def test_signs_are_on_their_own_sides(size: float) -> None:
    """Zero is the middle of a two-sided scale, whatever the numbers are."""
    [scale] = [s for s in scales([row(signed=size)]) if s.measure == SIGNED]
    half = SHADES // 2
    assert scale.shades.index(scale.shade(size)) >= half > scale.shades.index(scale.shade(-size))


def test_a_measure_without_numbers_has_no_scale() -> None:
    """Policies without V have no cosine to show."""
    found = scales([row(cosine=None, signed=None)])
    assert [scale.measure.field for scale in found] == ["retained", "update_ratio"]
