"""The floor: an uploader may ask for a stronger policy, never for a weaker one."""

from typing import Any

import pytest

from core.floor import below_floor
from core.policy import Policy
from core.selection import Score, select

FLOOR: dict[str, Any] = {"selection": {"threshold": 0.35, "families": {"q_proj": 0.5}}}
HIGHER: dict[str, Any] = {"threshold": 0.5, "families": {"q_proj": 0.6}}


@pytest.mark.parametrize(
    ("policy", "fields"),
    [
        ({"selection": {"threshold": 0.3}}, ["selection"]),
        ({"selection": {"threshold": 0.4}}, ["selection"]),  # q_proj would fall to 0.4
        ({"selection": {"threshold": 0.5, "families": {"v_proj": 0.1}}}, ["selection"]),
        ({"selection": {"mode": "lowest", "share": 1.0}}, ["selection"]),
        ({"selection": {"mode": "relative", "ratio": 100.0}}, ["selection"]),
        ({"selection": HIGHER, "strength": 0.9}, ["strength"]),
        ({"selection": HIGHER, "method": "complement", "side": "both", "rank": 64}, ["method"]),
        ({"selection": HIGHER, "caps": {"update_ratio": 2.0}}, ["caps.update_ratio"]),
        ({"selection": HIGHER, "caps": {"rank": 513}}, ["caps.rank"]),
        ({"selection": HIGHER, "reference": True}, ["reference"]),
        ({"selection": {"mode": "none"}, "caps": {"bytes": 2**40}}, ["caps.bytes"]),
    ],
)
def test_a_weaker_field_is_named(policy: dict[str, Any], fields: list[str]) -> None:
    """Weaker than the floor, or not comparable with it: refused, by field."""
    assert below_floor(Policy.model_validate(policy), Policy.model_validate(FLOOR)) == fields


@pytest.mark.parametrize(
    "policy",
    [
        FLOOR,
        {"selection": HIGHER},
        {"selection": {"mode": "all"}},
        {"selection": {"mode": "all"}, "method": "zero"},
        {"selection": {"mode": "none"}, "method": "zero", "strength": 0.0},
        {"selection": HIGHER, "caps": {"rank": 8}},
    ],
)
def test_a_policy_as_strong_is_allowed(policy: dict[str, Any]) -> None:
    """Equal, stronger in any field, or publishing nothing at all."""
    assert below_floor(Policy.model_validate(policy), Policy.model_validate(FLOOR)) == []


@pytest.mark.parametrize("selection", [{"threshold": 1.0}, {"mode": "all"}])
def test_a_floor_that_only_scores_lets_nothing_be_published(selection: dict[str, Any]) -> None:
    """Where the operator publishes nothing, no uploader's policy does."""
    floor = Policy.model_validate({"selection": {"mode": "none"}})
    assert below_floor(Policy.model_validate({"selection": selection}), floor) == ["selection"]


@pytest.mark.parametrize(
    ("method", "rank", "allowed"),
    [
        ("complement", 3, True),
        ("complement", 1, False),
        ("subspace", 1, True),
        ("subspace", 3, False),
    ],
)
def test_more_directions_are_stronger_where_they_are_taken_out(
    method: str, rank: int, allowed: bool
) -> None:
    """`complement` removes what it names and `subspace` keeps it."""
    side = {"side": "input"} if method == "complement" else {}
    floor = Policy.model_validate({"method": method, "rank": 2, **side})
    policy = Policy.model_validate({"method": method, "rank": rank, **side})
    assert (below_floor(policy, floor) == []) is allowed


def test_a_cosine_of_zero_is_chosen_in_every_mode_that_publishes() -> None:
    """An update of which the projection leaves nothing is projected, whatever the cut."""
    scores = [Score("a", 0.0, 0.5), Score("b", 0.0, 0.5), Score("c", 0.9, 0.5)]
    for selection in (
        {"threshold": 0.0},
        {"mode": "relative", "ratio": 0.0},
        {"mode": "lowest", "count": 1},
        {"mode": "all"},
    ):
        chosen = select(scores, Policy.model_validate({"selection": selection}).selection)
        assert chosen["a"].projected
        assert chosen["b"].projected
