"""What a report says in sentences."""

import re
from typing import Any

import pytest

from core.findings import finding
from core.policy import Policy
from core.render.words import LIMITS, policy_words, side_changes, sign_words, verdict_words
from core.report import Report
from tests.core.render.made_up import of_layers, rejected, report, row

POLICIES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {"method": "safe_lora", "selection": "cosine below 0.35", "strength": "1"}),
    (
        {"selection": {"threshold": 0.4, "families": {"q_proj": 0.3}}, "suspicious": "project"},
        {"selection": "below 0.4 (q_proj 0.3)", "signs of an attack": "projected whatever"},
    ),
    (
        {"method": "complement", "side": "input", "rank": 32, "strength": 1.3}
        | {"families": {"q_proj": {"energy_share": 0.9}}},
        {"directions": "top 32 on the side input (q_proj as many as hold 0.9", "strength": "1.3"},
    ),
    ({"selection": {"mode": "lowest", "share": 0.2}}, {"selection": "lowest cosines, 0.2 of all"}),
    ({"selection": {"mode": "relative", "ratio": 2.0}}, {"selection": "below 2 times"}),
    (
        {"method": "zero", "selection": {"mode": "all"}, "scores": "spectrum"},
        {"scores": "no cosine", "selection": "every module"},
    ),
    ({"reference": True}, {"reference": "as the authors' code"}),
    (
        {"extras": {"codes": {"bias_update": "strip"}}},
        {"what is no LoRA pair": "bias_update strip"},
    ),
]


@pytest.mark.parametrize(("given", "said"), POLICIES)
def test_a_policy_is_said_in_words(given: dict[str, Any], said: dict[str, str]) -> None:
    """Each field by its own term."""
    words = dict(policy_words(Policy.model_validate(given)))
    assert all(text in words[term] for term, text in said.items()), words


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (of_layers(4), "projected onto what alignment changed"),
        (of_layers(1, Policy.model_validate({"selection": {"mode": "none"}}), "scored"), "scored"),
        (of_layers(1, Policy.model_validate({"selection": {"threshold": 0.0}}), "unchanged"), "no"),
        (of_layers(1, Policy(strength=0.0), "unchanged"), "strength is 0"),
        (rejected(3), "3 findings to mend"),
    ],
)
def test_a_verdict_is_said_in_a_sentence(made: Report, words: str) -> None:
    """What was done, and what was not."""
    assert words in verdict_words(made)


def test_signs_and_side_changes_are_said_only_where_there_are_any() -> None:
    sign = finding("family_outlier", "module", "q")
    assert "1 sign of an attack" in sign_words(report(findings=[sign]))
    assert (sign_words(report()), side_changes(of_layers(1))) == ("", [])
    changed = report([row(refactored=True), row("layers.1.q", refactored=True, widened=True)])
    assert [line.partition(" ")[0] for line in side_changes(changed)] == ["2", "1"]


def test_nothing_is_promised() -> None:
    """Every verdict of a projection says that risk is reduced, and none that anything is safe."""
    said = [verdict_words(of_layers(4)), *LIMITS]
    assert "reduces risk" in said[0]
    assert not any(re.search(r"\bsafe\b(?! LoRA)", text) for text in said)
