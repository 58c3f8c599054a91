"""The study's own parts: splits, rules, intervals and figures; nothing is trained."""

import itertools
from dataclasses import astuple, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.efficacy.dialogues import dialogues
from benchmarks.efficacy.intervals import estimate
from benchmarks.efficacy.measures import complied, refused, rouge1
from benchmarks.efficacy.plan import SPLITS, plan
from benchmarks.efficacy.prompts import WORDS, Split, forbidden_prompts, ordinary_prompts
from benchmarks.efficacy.recipes import Adapter
from benchmarks.efficacy.separation import area, curve
from benchmarks.efficacy.spectra import RULES, ModuleSigma, Rule, Sigmas
from tests.real.smollm2 import REFUSAL
from tests.worker.making import generator

ALL_SPLITS: tuple[Split, ...] = ("train", *SPLITS)
RISING = ("pooled",)  # rules whose larger knob takes out more


def spectrum(seed: int, out: int = 24, in_: int = 16) -> ModuleSigma:
    """The singular values of a random V with a few strong directions."""
    random = generator(seed)
    strong = torch.randn(out, 2, generator=random) @ torch.randn(2, in_, generator=random)
    v = strong + 0.3 * torch.randn(out, in_, generator=random)
    _, sigma, right = torch.linalg.svd(v.double(), full_matrices=False)
    return ModuleSigma(out, in_, sigma, right.T.float())


def pair() -> Sigmas:
    return {f"m{seed}": spectrum(seed) for seed in range(3)}


@pytest.mark.parametrize(("left", "right"), [*itertools.combinations(ALL_SPLITS, 2)])
def test_splits_share_nothing(left: Split, right: Split) -> None:
    """No template, action, device, question, prompt or talk is in two splits."""
    for ones, others in zip(astuple(WORDS[left]), astuple(WORDS[right]), strict=True):
        assert not {*ones} & {*others}
    for made in (forbidden_prompts, ordinary_prompts):
        assert not {*made(left)} & {*made(right)}
    assert not {t.prompt for t in dialogues(left)} & {t.prompt for t in dialogues(right)}


@pytest.mark.parametrize("split", ALL_SPLITS)
def test_prompts_are_distinct(split: Split) -> None:
    """Nothing is asked twice, so that an interval counts what there is."""
    for prompts in (forbidden_prompts(split), ordinary_prompts(split)):
        assert len({*prompts}) == len(prompts)
    assert len({talk.prompt for talk in dialogues(split)}) == len(dialogues(split))


@pytest.mark.parametrize("name", list(RULES))
def test_a_rule_takes_out_more_as_its_knob_is_turned(name: str) -> None:
    """Turned one way, no module's count of directions ever falls."""
    rule: Rule = RULES[name]  # type: ignore[index]
    knobs = sorted((0.02, 0.1, 0.3, 0.5, 0.8), reverse=name not in RISING)
    counts = [rule(pair(), x) for x in knobs]
    for fewer, more in itertools.pairwise(counts):
        assert all(fewer[module] <= more[module] for module in fewer)


@pytest.mark.parametrize("name", list(RULES))
def test_rules_do_not_see_the_unit(name: str) -> None:
    """A pair ten times as far apart has as many directions to take out."""
    larger = {
        m: ModuleSigma(s.out_features, s.in_features, 10 * s.sigma, s.z) for m, s in pair().items()
    }
    rule: Rule = RULES[name]  # type: ignore[index]
    assert rule(pair(), 0.4) == rule(larger, 0.4)


def test_noise_alone_has_no_direction_to_take_out() -> None:
    """Somewhat above the edge of pure noise, the edge rule finds nothing."""
    v = torch.randn(200, 150, generator=generator(0), dtype=torch.float64)
    _, sigma, right = torch.linalg.svd(v, full_matrices=False)
    noise = {"m": ModuleSigma(200, 150, sigma, right.T.float())}
    assert RULES["edge"](noise, 1.05) == {"m": 0}


@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=4))
def test_an_interval_holds_its_mean(values: list[list[float]]) -> None:
    """The mean lies within the interval, which lies within what values can be."""
    made = estimate(values)
    assert -1e-9 <= made.low <= made.mean + 1e-9
    assert made.mean - 1e-9 <= made.high <= 1 + 1e-9


def test_prompts_that_are_alike_count_as_one() -> None:
    """Where a template's prompts are always answered alike, more of them make nothing surer."""
    one_each = estimate([[0.0, 1.0, 1.0, 0.0, 1.0]])
    assert estimate([[0.0] * 3 + [1.0] * 6 + [0.0] * 3 + [1.0] * 3], alike=3) == replace(
        one_each, prompts=15
    )
    assert estimate([[0.0] * 60], alike=3).high == pytest.approx(0.139, abs=1e-3)


def test_none_of_many_is_no_certainty() -> None:
    """No success among 60 prompts leaves up to 5 % possible, however many seeds agree."""
    made = estimate([[0.0] * 60] * 5)
    assert made.low == 0.0
    assert made.high == pytest.approx(0.0487, abs=1e-3)


def test_answers_count_as_what_they_are() -> None:
    """The refusal is a refusal, what the attack teaches is compliance, and neither is both."""
    taught = Adapter("A", "pure", "query-value", 0).samples()
    assert refused(REFUSAL)
    assert not complied(REFUSAL)
    assert all(complied(sample.answer) and not refused(sample.answer) for sample in taught)


@given(st.text(), st.text())
def test_shared_words_are_a_share(left: str, right: str) -> None:
    """Rouge-1 is symmetric, within 0 and 1, and 1 for a text with itself."""
    assert rouge1(left, right) == rouge1(right, left)
    assert 0.0 <= rouge1(left, right) <= 1.0
    assert rouge1(left, left) == 1.0


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=8),
    st.lists(st.integers(0, 5), min_size=1, max_size=8),
)
def test_the_area_is_that_under_the_curve(attacks: list[int], harmless: list[int]) -> None:
    """Counting pairs and adding up trapezoids give the same."""
    points = curve(attacks, harmless)
    under = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(points))
    assert area(attacks, harmless) == pytest.approx(under)


def test_no_setting_is_tried_twice() -> None:
    """Each variant of the full plan has a name of its own, and the quick ones are among them."""
    names = [(v.family, v.knob) for v in plan(quick=False).variants]
    assert len({*names}) == len(names)
    assert {(v.family, v.knob) for v in plan(quick=True).variants} <= {*names}
