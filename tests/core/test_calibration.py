"""Which setting is proposed, and when none should be."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.calibration.choice import MARGIN, choose
from core.calibration.effect import area, lost, taken_out
from core.calibration.knobs import MOST_CUTS, KnobName, knob_of, probe_of
from core.calibration.record import Calibration
from core.floor import below_floor
from core.policy import MethodName, Policy
from core.selection import Score, select
from tests.core.calibrating import (
    GROWING,
    MODULES,
    Module,
    adapter,
    by_threshold,
    compared,
    row,
    rows,
)

ADAPTER = st.lists(MODULES, min_size=1, max_size=5)
ADAPTERS = st.lists(ADAPTER, min_size=1, max_size=3)
CUTS: tuple[KnobName, ...] = ("threshold", "share", "ratio")


def threshold(value: float) -> Policy:
    return Policy.model_validate({"selection": {"threshold": value}})


# What a setting does


@given(ADAPTER, st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_higher_threshold_takes_no_less(modules: list[Module], one: float, other: float) -> None:
    """Where no module grows by being projected."""
    low, high = sorted((one, other))
    scored = rows(modules)
    assert taken_out(scored, threshold(low)) <= taken_out(scored, threshold(high)) + 1e-12


@given(st.lists(GROWING, min_size=1, max_size=5), st.floats(0.0, 1.0))
def test_growth_counts_against_a_setting(modules: list[Module], value: float) -> None:
    """In hostile adapters as something put in, in benign ones not as something kept."""
    taken, gone = taken_out(rows(modules), threshold(value)), lost(rows(modules), threshold(value))
    assert taken <= gone + 1e-12
    assert -1e-12 <= gone <= 1.0


@given(ADAPTER)
def test_shares_are_of_the_squared_norm(modules: list[Module]) -> None:
    """Each module weighs its squared update ratio; ‖after‖² is what is left of ‖before‖²."""
    before = sum(ratio**2 for _, _, ratio in modules)
    after = sum((retained * ratio) ** 2 for _, retained, ratio in modules)
    everything = Policy.model_validate({"selection": {"mode": "all"}})
    assert math.isclose(taken_out(rows(modules), everything), 1 - after / before, abs_tol=1e-12)


def test_an_update_of_nothing_loses_nothing() -> None:
    """Zero updates have no score and no weight."""
    zero = row("a", (0.1, 0.1, 0.1), cosine=None, retained=None, reason="zero_update")
    assert taken_out([zero], threshold(1.0)) == lost([], threshold(1.0)) == 0.0


# Which settings there are


@given(ADAPTERS, st.sampled_from(CUTS))
def test_every_cut_is_tried(modules: list[list[Module]], by: KnobName) -> None:
    """Each number of modules that some cut chooses, by values in order, none of them twice."""
    knob = knob_of("safe_lora", by, Policy(), 64)
    adapters = [adapter(str(i), "benign", [scored]) for i, scored in enumerate(modules)]
    tried = knob.settings(adapters)
    values = [setting.value for setting in tried]
    assert values == sorted(set(values))
    for scored in modules:
        scores = [Score(r.name, r.cosine, r.baseline) for r in rows(scored)]
        chosen = {
            sum(choice.projected for choice in select(scores, s.policy.selection).values())
            for s in tried
        }
        assert chosen >= possible(by, [cosine for cosine, _, _ in scored])


def possible(by: KnobName, cosines: list[float]) -> set[int]:
    """How many modules can be chosen: a cut chooses equals together, a cosine of 1 never, and one
    of 0 always."""
    if by == "share":
        return {max(count, cosines.count(0.0)) for count in range(len(cosines) + 1)}
    return {sum(other <= cosine for other in cosines) for cosine in cosines if cosine < 1.0}


def test_values_are_as_short_as_they_can_be() -> None:
    """What is proposed is read, and typed, by people."""
    modules: list[Module] = [(c, 0.5, 0.1) for c in (0.1234567, 0.2345678, 0.7)]
    values = [c.value for c in by_threshold([modules], [modules]).candidates]
    assert values == [0.0, 0.2, 0.5, 0.705]


def test_very_many_cuts_are_thinned() -> None:
    """Evenly, from none to all."""
    knob = knob_of("safe_lora", "threshold", Policy(), 64)
    many: list[Module] = [(i / 5000, 0.5, 0.1) for i in range(4000)]
    tried = knob.settings([adapter("many", "benign", [many])])
    assert len(tried) == MOST_CUTS
    assert (tried[0].value, tried[-1].value > 0.7998) == (0.0, True)


@pytest.mark.parametrize(
    ("stored", "ranks"), [(1, [1]), (2, [1, 2]), (48, [1, 2, 4, 8, 16, 32, 48]), (4, [1, 2, 4])]
)
def test_ranks_double_up_to_what_is_stored(stored: int, ranks: list[int]) -> None:
    """Each is scored by itself, without V."""
    knob = knob_of("complement", None, Policy(), stored)
    assert [setting.value for setting in knob.settings([])] == ranks
    assert [probe.rank for probe in knob.probes] == ranks
    assert not any(probe.loads_v or probe.publishes for probe in knob.probes)


DEFAULTS: list[dict[str, Any]] = [
    {},
    {"strength": 0.5, "caps": {"rank": 8}, "extras": {"default": "strip"}},
    {"suspicious": "refuse", "reference": True, "selection": {"families": {"q_proj": 0.1}}},
    {"method": "complement", "side": "both", "rank": 4, "selection": {"mode": "all"}},
    {"method": "zero", "selection": {"mode": "all"}, "scores": "spectrum"},
]
KNOBS: list[tuple[MethodName, KnobName]] = [
    *(("safe_lora", by) for by in CUTS),
    ("complement", "rank"),
]  # fmt: skip


@pytest.mark.parametrize("default", DEFAULTS)
@pytest.mark.parametrize(("method", "by"), KNOBS)
def test_the_rest_of_the_default_policy_is_kept(
    default: dict[str, Any], method: MethodName, by: KnobName
) -> None:
    """In what is proposed; and a probe is held to no floor that the default policy holds."""
    policy = Policy.model_validate(default)
    knob = knob_of(method, by, policy, 4)
    scored = [[(0.2, 0.5, 0.1)]] * len(knob.probes)
    for setting in knob.settings([adapter("a", "benign", scored)]):
        proposed = setting.policy
        assert proposed.method == method
        for field in ("strength", "caps", "extras", "suspicious", "reference"):
            assert getattr(proposed, field) == getattr(policy, field)
        assert probe_of(proposed) == knob.probes[setting.probe]
        assert below_floor(probe_of(proposed), policy) == []


@pytest.mark.parametrize(("method", "by"), KNOBS)
def test_a_strength_that_norms_do_not_show_is_not_kept(method: MethodName, by: KnobName) -> None:
    """Mirrored updates keep their norm, whatever was taken out of them."""
    default = Policy().model_copy(update={"strength": 1.5})
    [probe, *_] = knob_of(method, by, default, 4).probes
    assert probe.strength == 1.0


@pytest.mark.parametrize(
    ("method", "by"), [("safe_lora", "rank"), ("complement", "threshold"), ("zero", None)]
)
def test_what_cannot_be_turned_is_said_so(method: MethodName, by: KnobName | None) -> None:
    """With what can."""
    with pytest.raises(ValueError, match="safe_lora by threshold, share, ratio; complement by"):
        knob_of(method, by, Policy(), 64)


# Which one is proposed


@given(ADAPTERS, ADAPTERS, st.floats(0.05, 1.0))
def test_the_proposal_keeps_its_promise(
    hostile: list[list[Module]], benign: list[list[Module]], keep: float
) -> None:
    """Every benign adapter keeps its share of the norm, and no setting that holds this takes more
    of the hostile ones."""
    found = by_threshold(hostile, benign, keep=keep)
    allowed = [c for c in found.candidates if c.benign_kept_least >= keep]
    if found.proposal is None:
        assert all(c.hostile_taken <= 0.0 for c in allowed)
        return
    for modules in benign:
        assert math.sqrt(1 - lost(rows(modules), found.proposal.policy)) >= keep - 1e-12
    assert found.proposal.candidate.hostile_taken == max(c.hostile_taken for c in allowed)


@given(st.lists(st.lists(GROWING, min_size=1, max_size=4), min_size=1, max_size=3))
def test_equal_kinds_give_no_recommendation(modules: list[list[Module]]) -> None:
    """Whatever is taken out of one is lost of the other; the cosine is a coin."""
    found = by_threshold(modules, modules, keep=0.5)
    assert not found.recommended
    assert found.area is not None
    assert math.isclose(found.area, 0.5)
    assert all(c.advantage <= 1e-12 for c in found.candidates)


APART: list[Module] = [(0.1, 0.1, 0.1), (0.6, 0.6, 0.1)]
KEPT: list[Module] = [(0.5, 0.5, 0.1), (0.7, 0.7, 0.1)]


def test_kinds_that_lie_apart_are_told_apart() -> None:
    """Low cosines of hostile modules are cut, and benign ones all kept."""
    found = by_threshold([APART, APART], [KEPT, KEPT])
    assert found.verdict == "recommended"
    assert found.proposal is not None
    assert 0.1 < found.proposal.candidate.value <= 0.5
    assert found.proposal.candidate.benign_lost == 0.0
    assert [a.taken for a in found.adapters] == pytest.approx([0.0, 0.0, 0.495, 0.495])
    assert found.area == 0.75


def test_one_adapter_of_a_kind_is_not_enough() -> None:
    """Nothing shows that what fits it fits another."""
    assert by_threshold([APART], [KEPT, KEPT]).verdict == "not_checked"
    assert by_threshold([APART, APART], [KEPT]).held_out is None


def test_what_fits_these_adapters_alone_is_not_recommended() -> None:
    """One benign adapter holds the cut down: chosen without it, the cut would ruin it."""
    hostile: list[Module] = [(0.2, 0.0, 0.1), (0.4, 0.0, 0.3)]
    found = by_threshold([hostile] * 2, [[(0.25, 0.0, 0.1)], [(0.5, 0.0, 0.1)]])
    assert found.proposal is not None
    assert found.proposal.candidate.advantage == pytest.approx(0.1)
    assert found.held_out is not None
    assert (found.held_out.benign_lost, found.held_out.benign_kept_least) == (0.5, 0.0)
    assert found.verdict == "not_held_out"


def test_a_promise_that_nothing_keeps_gives_no_proposal() -> None:
    """A benign adapter that any cut ruins."""
    ruined: list[Module] = [(0.05, 0.0, 1.0)]
    found = by_threshold([APART, APART], [ruined, KEPT])
    assert (found.proposal, found.held_out, found.verdict) == (None, None, "no_setting")


def test_taking_as_much_from_both_is_not_recommended() -> None:
    """Nor is taking hardly more: the margin is stated in the file."""
    benign: list[Module] = [(0.1, 0.96, 0.1), (0.9, 1.0, 0.1)]
    hostile: list[Module] = [(0.1, 0.92, 0.1), (0.9, 1.0, 0.1)]
    found = by_threshold([hostile, hostile], [benign, benign])
    assert found.verdict == "scaling"
    assert found.proposal is not None
    assert 0.0 < found.proposal.candidate.advantage < found.margin == MARGIN


def test_rank_is_chosen_by_what_each_leaves() -> None:
    """Every rank has rows of its own, and no cosine is needed."""
    knob = knob_of("complement", "rank", Policy(), 4)
    hostile: list[list[Module]] = [[(0.0, kept, 0.1)] for kept in (0.9, 0.3, 0.1)]
    benign: list[list[Module]] = [[(0.0, kept, 0.1)] for kept in (0.99, 0.96, 0.9)]
    found = compared(knob, [hostile] * 2, [benign] * 2, method="complement", by="rank")
    assert found.proposal is not None
    assert found.proposal.policy.rank == 2
    assert found.proposal.candidate.hostile_taken == pytest.approx(1 - 0.3**2)
    assert found.verdict == "recommended"


def test_of_equals_the_mildest_is_chosen() -> None:
    """And one that costs less before one that is mild."""
    found = by_threshold([APART], [KEPT]).candidates
    same = [c.model_copy(update={"hostile_taken": 0.5, "benign_lost": 0.1}) for c in found]
    assert choose(same, 0.0) == 0
    same[-1] = same[-1].model_copy(update={"benign_lost": 0.05})
    assert choose(same, 0.0) == len(same) - 1


# How far apart


@given(st.lists(st.floats(0, 1), min_size=1), st.lists(st.floats(0, 1), min_size=1))
def test_area_counts_pairs(hostile: list[float], benign: list[float]) -> None:
    """Hostile below benign one, a tie half."""
    pairs = [(h < b) + (h == b) / 2 for h in hostile for b in benign]
    found = area(hostile, benign)
    assert found is not None
    assert math.isclose(found, sum(pairs) / len(pairs))


def test_without_cosines_there_is_no_area() -> None:
    """As under `scores: "spectrum"`."""
    assert area([], [0.5]) is None


@settings(max_examples=20)
@given(ADAPTERS, ADAPTERS)
def test_the_file_holds_everything(hostile: list[list[Module]], benign: list[list[Module]]) -> None:
    """What is read back is what was written, byte for byte the same each time."""
    found = by_threshold(hostile, benign)
    assert Calibration.model_validate_json(found.as_bytes()) == found
    assert by_threshold(hostile, benign).as_bytes() == found.as_bytes()
