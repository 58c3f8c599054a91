"""Policies in plain words."""

from typing import Any

import pytest

from app.web.words import policy_words, size_words
from core.policy import Policy


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({}, ["0.35", "Safe LoRA"]),
        ({"selection": {"threshold": 0.5, "families": {"q_proj": 0.3}}}, ["0.5", "q_proj", "0.3"]),
        ({"selection": {"mode": "relative", "ratio": 1.5}}, ["1.5"]),
        ({"selection": {"mode": "lowest", "share": 0.25}}, ["0.25"]),
        ({"selection": {"mode": "lowest", "count": 7}}, ["7"]),
        ({"selection": {"mode": "all"}, "method": "zero"}, ["very module", "taken out"]),
        ({"selection": {"mode": "none"}}, ["only scored"]),
        ({"method": "subspace", "energy_share": 0.9}, ["90%"]),
        (
            {
                "method": "complement",
                "side": "input",
                "rank": 32,
                "families": {"k_proj": {"rank": 1}},
            },
            ["32", "k_proj", "1"],
        ),
        ({"strength": 0.5}, ["0.5"]),
        ({"suspicious": "refuse"}, ["signs of an attack", "refused"]),
        ({"extras": {"default": "strip"}}, ["left out"]),
    ],
)
def test_what_a_policy_decides_is_said(policy: dict[str, Any], said: list[str]) -> None:
    """Each number of it, too."""
    text = " ".join(policy_words(Policy.model_validate(policy)))
    assert all(part in text for part in said), text


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (582_552, "583 kB"),
        (13_600_000_000, "13.6 GB"),
    ],
)
def test_sizes(size: int, said: str) -> None:
    """Three digits at most, up to a terabyte."""
    assert size_words(size) == said
