"""Where a heat map has its modules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.render.heat import heat_map
from tests.core.render.made_up import FAMILIES, row, rows

WORD = st.sampled_from(["a", "b", "q", "layer", "0", "1", "2", "10"])
PATH = st.lists(WORD, min_size=1, max_size=7).map(".".join)


@given(st.lists(PATH, unique=True, max_size=30))
def test_every_module_has_a_place_of_its_own(paths: list[str]) -> None:
    """However the paths are made, none hides another."""
    heat = heat_map([row(path) for path in paths])
    assert sorted(heat.index.values()) == list(range(len(paths)))
    assert {family for family, _ in heat.index} == set(heat.families)
    assert {layer for _, layer in heat.index} == set(heat.layers)
    assert len(set(heat.families)) == len(heat.families)


def test_a_plain_model_is_layers_by_names() -> None:
    """The last word is enough where no other ends with it."""
    heat = heat_map(rows(3))
    assert heat.layers == (0, 1, 2)
    assert heat.families == tuple(name.rpartition(".")[2] for name in FAMILIES)


@pytest.mark.parametrize(
    ("paths", "families"),
    [
        (
            ["encoder.block.3.layer.0.SelfAttention.q", "decoder.block.3.layer.0.SelfAttention.q"],
            ("encoder…SelfAttention.q", "decoder…SelfAttention.q"),
        ),
        (["layers.0.experts.1.w1", "layers.0.experts.2.w1"], ("1.w1", "2.w1")),
        (["layers.0.q_proj", "lm_head"], ("q_proj", "lm_head")),
        (["q_proj", "layers.q_proj"], ("q_proj", "layers.q_proj")),
    ],
)
def test_names_are_as_long_as_they_must_be(paths: list[str], families: tuple[str, ...]) -> None:
    """Enough words to be told apart, with the middle left out of many."""
    assert heat_map([row(path) for path in paths]).families == families
