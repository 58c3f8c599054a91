"""The spread of the cosines."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.policy import Policy
from core.render.distribution import distribution
from core.report import ModuleRow
from tests.core.render.made_up import judged, row, rows

UNIT = st.floats(0.0, 1.0)


def of(selection: dict[str, Any]) -> tuple[list[ModuleRow], Policy]:
    policy = Policy.model_validate({"selection": selection})
    return rows(8, policy), policy


@given(st.lists(UNIT, min_size=1), st.floats(0.0, 1.0), UNIT)
def test_every_cosine_is_counted_once(
    cosines: list[float], threshold: float, baseline: float
) -> None:
    """By what became of its module; all that is drawn lies within the picture."""
    policy = Policy.model_validate({"selection": {"threshold": threshold}})
    made = [row(f"layers.{n}.q", cosine=c, baseline=baseline) for n, c in enumerate(cosines)]
    chosen = judged(made, policy)
    shown = distribution(chosen, policy)
    assert shown is not None
    assert sum(each.projected for each in shown.bins) == sum(m.projected for m in chosen)
    assert sum(each.kept for each in shown.bins) == sum(not m.projected for m in chosen)
    assert max(*cosines, baseline, threshold) <= shown.high
    drawn = [shown.x(v) for v in (*cosines, *shown.baseline, shown.cuts[0].value)]
    assert all(shown.left <= x <= shown.width for x in drawn)
    assert all(shown.top <= shown.y(each.kept + each.projected) for each in shown.bins)


def test_a_threshold_is_drawn_with_those_of_families() -> None:
    """Each for the modules that it was for."""
    families = {"q_proj": 0.3, "mlp.up_proj": 0.45, "no_such": 0.9}
    shown = distribution(*of({"threshold": 0.35, "families": families}))
    assert shown is not None
    found = [(cut.value, cut.family, cut.modules) for cut in shown.cuts]
    assert found == [(0.45, "mlp.up_proj", 8), (0.35, "", 40), (0.3, "q_proj", 8)]


@pytest.mark.parametrize(
    "selection",
    [
        {"mode": "relative", "ratio": 2.0},
        {"mode": "lowest", "count": 9},
        {"mode": "all"},
        {"mode": "none"},
    ],
)
def test_no_cut_is_drawn_where_there_is_none(selection: dict[str, Any]) -> None:
    """It is said in words what was chosen instead."""
    shown = distribution(*of(selection))
    assert shown is not None
    assert shown.cuts == []
    assert any("chosen" in words or "no one cut" in words for words in shown.words)


def test_modules_without_a_cosine_are_left_out_and_said_so() -> None:
    """And there is no picture where none has one."""
    policy = Policy()
    zero = row("layers.1.q", cosine=None, signed=None, undo=None, reason="zero_update")
    shown = distribution([row("layers.0.q", cosine=0.4), zero], policy)
    assert shown is not None
    assert shown.words[-1] == "1 module without a cosine left out."
    assert distribution([zero], policy) is None
