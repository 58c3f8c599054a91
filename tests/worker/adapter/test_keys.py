"""Tensor names: one spelling out, the known ones in, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.adapter.keys import PairKeys, canonical_key, pair_keys, resolve

PART = st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True)
PATH = st.lists(PART, min_size=1, max_size=5).map(".".join)


@settings(max_examples=200, deadline=None)
@given(PATH)
def test_every_module_path_survives_its_canonical_spelling(path: str) -> None:
    """What is written under a path is read back as the pair of the same path."""
    pairs, others, found = pair_keys([canonical_key(path, "a"), canonical_key(path, "b")])
    assert (others, found) == ([], [])
    assert [(p.path, p.a, p.b) for p in pairs] == [
        (path, canonical_key(path, "a"), canonical_key(path, "b"))
    ]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.text(max_size=30), unique=True, max_size=4))
def test_no_other_name_makes_a_pair(names: list[str]) -> None:
    """Every name that is no factor is told apart, whichever library's spellings are read."""
    assert pair_keys(names) == ([], names, [])
    assert pair_keys(names, mlx=True) == ([], names, [])


@pytest.mark.parametrize(
    ("path", "modules", "expected"),
    [
        ("model.a", ["model.a"], "model.a"),
        ("a", ["model.a"], "model.a"),
        ("a", ["transformer.a"], "transformer.a"),
        ("model.a", ["a"], "a"),
        ("transformer.a", ["a"], "a"),
    ],
)
def test_module_is_found_with_or_without_the_models_prefix(
    path: str, modules: list[str], expected: str
) -> None:
    """PEFT names modules as the model does, checkpoints may leave out the prefix."""
    pairs, _, _ = pair_keys([canonical_key(path, "a"), canonical_key(path, "b")])
    assert resolve(pairs, modules, {}) == ({path: expected}, [])


@pytest.mark.parametrize("left_out", ["a", "model.a"])
def test_module_is_not_taken_for_one_that_was_left_out(left_out: str) -> None:
    """Where the pair has `a` and `model.a` but only one is judged, neither name is guessed at."""
    pairs, _, _ = pair_keys([canonical_key("a", "a"), canonical_key("a", "b")])
    judged = {"a", "model.a"} - {left_out}
    resolved, found = resolve(pairs, judged, {left_out: "not asked for"})
    assert resolved == {}
    assert [(f.code, f.subject) for f in found] == [("ambiguous_module", canonical_key("a", "b"))]


def keys_of(*paths: str) -> list[PairKeys]:
    names = [canonical_key(path, factor) for path in paths for factor in "ab"]
    return pair_keys(names)[0]


@pytest.mark.parametrize(
    ("paths", "modules"),
    [
        (("model.a", "model.b", "c"), ("model.a", "model.b", "model.c")),
        (("a", "b", "model.c"), ("a", "b", "c")),
        (("transformer.a", "transformer.b", "model.c"), ("a", "b", "c")),
    ],
)
def test_one_adapter_spells_the_models_prefix_in_one_way(
    paths: tuple[str, ...], modules: tuple[str, ...]
) -> None:
    """No model has some modules with it and some without: PEFT would serve a part in silence."""
    _, found = resolve(keys_of(*paths), modules, {})
    assert [(f.code, f.subject) for f in found] == [
        ("mixed_prefixes", canonical_key(paths[2], "b"))
    ]


@pytest.mark.parametrize("path", ["transformer.model.a", "model.model.a", "model.transformer.a"])
def test_a_prefix_is_not_taken_for_another(path: str) -> None:
    """`transformer.model.a` is no spelling of `model.a` that any reader finds."""
    _, found = resolve(keys_of(path), ["model.a", "transformer.a"], {})
    assert [f.code for f in found] == ["module_not_in_alignment"]
