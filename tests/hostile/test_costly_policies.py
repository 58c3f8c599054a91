"""Policies that are cheap to send and would be dear to judge."""

import json
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from core.families import family_value
from core.floor import below_floor
from core.policy import Policy, parse_policy

FAMILIES = 20_000  # as many as a JSON body has room for


class _Counting(dict[str, float]):
    """Counts how often it is asked."""

    def __init__(self, values: Mapping[str, float]) -> None:
        super().__init__(values)
        self.asked = 0

    def __contains__(self, key: object) -> bool:
        self.asked += 1
        return super().__contains__(key)

    def __iter__(self) -> None:  # type: ignore[override]
        raise AssertionError("every family was looked at for one module")


words = st.lists(st.sampled_from(["a", "b", "q_proj"]), min_size=1, max_size=4).map(".".join)


@given(words, st.dictionaries(words, st.floats(0, 1)))
def test_the_longest_suffix_on_dot_boundaries_counts(
    module: str, families: dict[str, float]
) -> None:
    """As it is defined, family by family."""
    fitting = [s for s in families if module == s or module.endswith(f".{s}")]
    wanted = families[max(fitting, key=len)] if fitting else 2.0
    assert family_value(module, 2.0, families) == wanted


def test_a_module_is_looked_up_by_its_own_name() -> None:
    """As many families as a policy has: what one module costs does not grow with them."""
    families = _Counting({f"layer{n}.q_proj": 0.5 for n in range(FAMILIES)})
    assert family_value("model.layer7.q_proj", 0.35, families) == 0.5
    assert families.asked <= 3


def test_thousands_of_families_hold_up_nobody() -> None:
    """A quarter of a megabyte of them held one of the API's threads, and its interpreter, for most
    of a minute: each was compared with each. `test_a_module_is_looked_up…` says why no more."""
    families = {f"m{n}": 0.5 for n in range(FAMILIES)}
    sent = {"selection": {"mode": "threshold", "threshold": 0.5, "families": families}}
    assert below_floor(parse_policy(json.dumps(sent).encode()), Policy()) == []
    families["m7"] = 0.1
    assert below_floor(parse_policy(json.dumps(sent).encode()), Policy()) == ["selection"]
