"""The floor: an uploader may ask for a stronger policy, never for a weaker one."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.findings import RULES, STRIPPABLE, finding, refusals
from core.floor import below_floor
from core.handling import under_policy
from core.policy import Policy
from core.selection import Score, select
from core.store.layout import ADAPTER_MODEL

FLOOR: dict[str, Any] = {"selection": {"threshold": 0.35, "families": {"q_proj": 0.5}}}
HIGHER: dict[str, Any] = {"threshold": 0.5, "families": {"q_proj": 0.6}}

HANDLING = st.sampled_from(["refuse", "strip"])
EXTRAS = st.fixed_dictionaries(
    {
        "default": HANDLING,
        "codes": st.dictionaries(st.sampled_from(sorted(STRIPPABLE)), HANDLING, max_size=6),
    }
)
SUSPICION = ("report", "project", "refuse")  # from weak to strong
FIELDS = st.fixed_dictionaries(
    {
        "extras": EXTRAS,
        "suspicious": st.sampled_from(SUSPICION),
        "caps": st.fixed_dictionaries({"elements": st.integers(1, 4)}),
        "scores": st.sampled_from(["all", "spectrum"]),
    }
)
# One of each code, of a tensor and of one of the adapter's own files.
EVERYTHING = [
    *(finding(code, "tensor", "x") for code in RULES),
    *(finding(code, "file", ADAPTER_MODEL) for code in RULES),
]


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
        ({"selection": HIGHER, "caps": {"elements": 2**33}}, ["caps.elements"]),
        ({"selection": HIGHER, "extras": {"default": "strip"}}, ["extras"]),
        ({"selection": HIGHER, "extras": {"codes": {"dora": "strip"}}}, ["extras"]),
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
        {"selection": HIGHER, "caps": {"elements": 2**31}},
        {"selection": HIGHER, "suspicious": "refuse"},
        {"selection": HIGHER, "extras": {"codes": {"dora": "refuse"}}},
        {"selection": {"mode": "none"}, "extras": {"default": "strip"}},
    ],
)
def test_a_policy_as_strong_is_allowed(policy: dict[str, Any]) -> None:
    """Equal, stronger in any field, or publishing nothing at all."""
    assert below_floor(Policy.model_validate(policy), Policy.model_validate(FLOOR)) == []


def complement(**fields: Any) -> Policy:
    side = {"method": "complement", "side": "input", "selection": {"mode": "all"}}
    return Policy.model_validate({**side, **fields})


RANKS = st.integers(1, 4).map(lambda k: {"rank": k})
SUFFIXES = ("q_proj", "attn.q_proj", "o_proj")
MODULES = (*(f"layers.0.{suffix}" for suffix in SUFFIXES), "layers.0.mlp.up_proj")
BY_FAMILY = st.builds(
    lambda rank, families: complement(**rank, families=families),
    RANKS,
    st.dictionaries(st.sampled_from(SUFFIXES), RANKS),
)


@given(BY_FAMILY, BY_FAMILY)
def test_no_module_keeps_a_direction_that_the_floor_takes(policy: Policy, floor: Policy) -> None:
    """Whatever families are named on either side: what the floor allows takes out as much of every
    module, whichever family it is of."""
    if below_floor(policy, floor):
        return
    for module in MODULES:
        mine, theirs = policy.directions(module), floor.directions(module)
        assert mine is not None
        assert theirs is not None
        assert (mine.rank or 0) >= (theirs.rank or 0)


@pytest.mark.parametrize(
    ("strength", "floor", "allowed"),
    [(1.0, 0.5, True), (1.2, 1.2, True), (1.3, 1.2, False), (1.0, 1.2, False), (1.2, 1.0, False)],
)
def test_turning_round_is_the_operators_choice_alone(
    strength: float, floor: float, allowed: bool
) -> None:
    """Above 1 the floor's own strength is the only one: who could choose another would know how to
    send an update that is turned into an attack."""
    weaker = below_floor(complement(rank=2, strength=strength), complement(rank=2, strength=floor))
    assert weaker == ([] if allowed else ["strength"])


def test_a_rank_and_a_share_cannot_be_compared() -> None:
    """In one family is enough: the policy is not known to take out as much."""
    floor = complement(rank=8, families={"q_proj": {"energy_share": 0.5}})
    assert below_floor(complement(rank=8, families={"q_proj": {"rank": 64}}), floor) == ["method"]


def policy_of(fields: dict[str, Any]) -> Policy:
    return Policy.model_validate({"method": "zero", "selection": {"mode": "all"}, **fields})


@given(FIELDS, FIELDS)
def test_what_the_floor_refuses_is_refused_above_it(
    above: dict[str, Any], below: dict[str, Any]
) -> None:
    """Whatever is found in an adapter: a policy that the floor allows lets no more of it in,
    treats a sign of an attack no more mildly, and has every score that shows one."""
    policy, floor = policy_of(above), policy_of(below)
    if below_floor(policy, floor):
        return
    judged, by_floor = under_policy(EVERYTHING, policy), under_policy(EVERYTHING, floor)
    refused = {(f.code, f.kind) for f in refusals(judged)}
    assert refused >= {(f.code, f.kind) for f in refusals(by_floor)}
    for mine, theirs in zip(judged, by_floor, strict=True):
        if theirs.outcome == "projected":
            assert mine.outcome in ("projected", "refused")
    assert policy.caps.elements <= floor.caps.elements
    assert policy.loads_v or not floor.loads_v


@given(FIELDS, FIELDS)
@example({"extras": {"default": "strip"}}, {})
@example({"suspicious": "report"}, {"suspicious": "project"})
@example({"scores": "spectrum"}, {"scores": "all"})
def test_each_weaker_field_is_named_and_no_other(
    above: dict[str, Any], below: dict[str, Any]
) -> None:
    """extras: a code stripped that the floor refuses; suspicious: milder; elements: more; scores:
    fewer."""
    policy, floor = policy_of(above), policy_of(below)
    weaker = {
        "extras": any(
            policy.extras.handling(code) == "strip" and floor.extras.handling(code) == "refuse"
            for code in RULES
        ),
        "suspicious": SUSPICION.index(policy.suspicious) < SUSPICION.index(floor.suspicious),
        "caps.elements": policy.caps.elements > floor.caps.elements,
        "scores": (policy.scores, floor.scores) == ("spectrum", "all"),
    }
    assert sorted(below_floor(policy, floor)) == sorted(name for name in weaker if weaker[name])


@given(FIELDS)
def test_a_policy_is_its_own_floor(fields: dict[str, Any]) -> None:
    """An operator who registers a policy as the default can use it."""
    assert below_floor(policy_of(fields), policy_of(fields)) == []


@given(FIELDS, FIELDS)
def test_stripping_everything_by_default_or_by_name_is_the_same(
    fields: dict[str, Any], other: dict[str, Any]
) -> None:
    """How the extras are spelled does not matter, only what becomes of each code."""
    spelled = policy_of(fields)
    by_name = {code: spelled.extras.handling(code) for code in STRIPPABLE}
    for default in ("refuse", "strip"):
        same = policy_of({**fields, "extras": {"default": default, "codes": by_name}})
        assert below_floor(same, policy_of(other)) == below_floor(spelled, policy_of(other))
        assert below_floor(policy_of(other), same) == below_floor(policy_of(other), spelled)


@pytest.mark.parametrize(
    ("policy", "floor", "fields"),
    [
        ({"scores": "spectrum"}, {}, ["scores"]),
        ({}, {"scores": "spectrum"}, []),
        ({"scores": "spectrum"}, {"scores": "spectrum"}, []),
        ({"scores": "spectrum", "method": "zero", "rank": None, "side": None}, {}, ["scores"]),
        ({"scores": "spectrum", "selection": {"mode": "none"}}, {}, []),
    ],
)
def test_scores_are_the_operators_to_switch_off(
    policy: dict[str, Any], floor: dict[str, Any], fields: list[str]
) -> None:
    """Whoever publishes is scored as the floor has it, whatever the method takes out."""
    method = {"method": "complement", "side": "input", "rank": 2, "selection": {"mode": "all"}}
    mine, theirs = Policy.model_validate(method | policy), Policy.model_validate(method | floor)
    assert below_floor(mine, theirs) == fields


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
