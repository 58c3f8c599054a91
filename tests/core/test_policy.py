"""A policy from JSON: what it may say of extras and caps, and how it is told what it may not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.canonical import digest
from core.errors import Unprocessable
from core.findings import RULES, STRIPPABLE
from core.policy import Directions, Extras, Policy, parse_policy

UNSTRIPPABLE = sorted(c for c, r in RULES.items() if r.severity == "refuse" and not r.strippable)
NO_REFUSALS = sorted(code for code, rule in RULES.items() if rule.severity != "refuse")


def refused(value: Any) -> Unprocessable:
    """Both ways in, as an object and as text, say the same."""
    with pytest.raises(Unprocessable) as of_object:
        parse_policy(value)
    with pytest.raises(Unprocessable) as of_text:
        parse_policy(json.dumps(value).encode())
    assert of_object.value.code == of_text.value.code == "policy_invalid"
    assert of_object.value.message == of_text.value.message
    return of_object.value


@pytest.mark.parametrize("code", UNSTRIPPABLE)
def test_what_cannot_be_left_out_cannot_be_stripped(code: str) -> None:
    """The message names the code, and lists each that can be."""
    error = refused({"extras": {"codes": {code: "strip"}}})
    assert [problem["field"] for problem in error.details["problems"]] == ["policy.extras.codes"]
    assert error.message.startswith(f"the policy is invalid: policy.extras.codes: {code} cannot")
    assert set(error.message.rpartition(": ")[2].split(", ")) == STRIPPABLE


@pytest.mark.parametrize("code", [*NO_REFUSALS, "no_such_code", "Dora", "dora ", "", "*"])
@pytest.mark.parametrize("handling", ["strip", "refuse"])
def test_code_that_refuses_nothing_is_unknown_to_extras(code: str, handling: str) -> None:
    """A misspelled code would leave the caller with another policy than was meant."""
    error = refused({"extras": {"codes": {"dora": "strip", code: handling}}})
    assert repr(code)[:60] in error.message


@pytest.mark.parametrize("code", UNSTRIPPABLE)
def test_refusing_may_be_said_of_every_code(code: str) -> None:
    """It is what happens anyway, whatever the default."""
    policy = parse_policy({"extras": {"default": "strip", "codes": {code: "refuse"}}})
    assert policy.extras.handling(code) == "refuse"


@pytest.mark.parametrize(
    "extras",
    [
        {"default": "drop"},
        {"default": None},
        {"default": True},
        {"codes": {"dora": "report"}},
        {"codes": {"dora": None}},
        {"codes": ["dora"]},
        {"codes": "dora"},
        {"strip": ["dora"]},
        "strip",
        ["strip"],
        True,
    ],
    ids=json.dumps,
)
def test_any_other_form_of_extras_is_refused(extras: Any) -> None:
    """Nothing is guessed at: the field at fault is named."""
    error = refused({"extras": extras})
    assert all(p["field"].startswith("policy.extras") for p in error.details["problems"])


def test_code_given_twice_is_refused() -> None:
    """One of the two would win, and which depends on the reader."""
    text = b'{"extras": {"codes": {"dora": "refuse", "dora": "strip"}}}'
    with pytest.raises(Unprocessable, match="appears twice") as error:
        parse_policy(text)
    assert error.value.code == "policy_invalid"


@given(
    default=st.sampled_from(["refuse", "strip"]),
    codes=st.dictionaries(
        st.sampled_from(sorted(STRIPPABLE)), st.sampled_from(["refuse", "strip"])
    ),
)
def test_code_of_its_own_goes_before_the_default(default: Any, codes: dict[str, Any]) -> None:
    """Named codes as named, the rest by the default, and only what can be left out is."""
    extras = Extras(default=default, codes=codes)
    for code in RULES:
        expected = codes.get(code, default) if code in STRIPPABLE else "refuse"
        assert extras.handling(code) == expected


def test_extras_are_part_of_the_policys_identity() -> None:
    """A result made by stripping never answers a request that refuses; spelled-out defaults do
    not make another policy."""
    strict = digest(parse_policy({}).as_json())
    assert digest(parse_policy({"extras": {"default": "refuse", "codes": {}}}).as_json()) == strict
    assert digest(parse_policy({"extras": {"default": "strip"}}).as_json()) != strict
    assert digest(parse_policy({"extras": {"codes": {"dora": "strip"}}}).as_json()) != strict


@pytest.mark.parametrize("elements", [0, -1, 1.5, True, "many", None])
def test_cap_on_elements_is_a_count(elements: Any) -> None:
    """At least one, or nothing could be let in."""
    assert "policy.caps.elements" in refused({"caps": {"elements": elements}}).message


METHODS: list[dict[str, Any]] = [
    {"method": "safe_lora"},
    {"method": "subspace", "rank": 2},
    *({"method": "complement", "rank": 2, "side": s} for s in ("input", "output", "both")),
    {"method": "zero"},
]
SELECTIONS: list[dict[str, Any]] = [
    {"mode": "threshold"},
    {"mode": "relative", "ratio": 1.0},
    {"mode": "lowest", "count": 1},
    {"mode": "all"},
    {"mode": "none"},
]


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("selection", SELECTIONS, ids=lambda s: str(s["mode"]))
@pytest.mark.parametrize("method", METHODS, ids=lambda m: str(m["method"]))
def test_without_v_nothing_may_need_it(
    method: dict[str, Any], selection: dict[str, Any], reference: bool
) -> None:
    """The method does without, no module is chosen by its cosine, and none is compared; what is
    refused is told what to take instead."""
    value: dict[str, Any] = {
        **method,
        "selection": selection,
        "reference": reference,
        "scores": "spectrum",
    }
    if method["method"] != "safe_lora" and selection["mode"] in ("all", "none") and not reference:
        assert not parse_policy(value).loads_v
        return
    [problem] = refused(value).details["problems"]
    assert problem["field"] == "policy"
    assert '"spectrum"' in problem["why"]
    assert parse_policy({**value, "scores": "all"}).loads_v


def test_scores_are_part_of_the_policys_identity() -> None:
    """A report without a cosine never answers a request for one."""
    zero: dict[str, Any] = {"method": "zero", "selection": {"mode": "all"}}
    spelled_out, without = {**zero, "scores": "all"}, {**zero, "scores": "spectrum"}
    assert digest(parse_policy(zero).as_json()) == digest(parse_policy(spelled_out).as_json())
    assert digest(parse_policy(zero).as_json()) != digest(parse_policy(without).as_json())


def test_defaults_refuse_and_report() -> None:
    """Nothing is stripped and no count is unbounded unless the policy says so."""
    policy = Policy()
    assert {policy.extras.handling(code) for code in RULES} == {"refuse"}
    assert policy.suspicious == "report"
    assert policy.caps.elements == 2**32


COMPLEMENT: dict[str, Any] = {"method": "complement", "side": "input", "selection": {"mode": "all"}}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"families": {"q_proj": {"rank": 2}}}, "families"),
        ({"method": "zero", "families": {"q_proj": {"rank": 2}}}, "families"),
        ({**COMPLEMENT, "rank": 2, "families": {"q_proj": {}}}, "rank or energy_share"),
        (
            {**COMPLEMENT, "rank": 2, "families": {"q_proj": {"rank": 2, "energy_share": 0.5}}},
            "rank or energy_share",
        ),
        ({**COMPLEMENT, "rank": 2, "families": {"q_proj": {"rank": 0}}}, "greater than"),
        ({**COMPLEMENT, "rank": 2, "families": {".*": {"rank": 2}}}, "pattern"),
        ({"strength": 1.1}, "strength of 1"),
        ({"method": "zero", "selection": {"mode": "all"}, "strength": 1.1}, "strength of 1"),
        ({**COMPLEMENT, "rank": 2, "strength": 2.1}, "less than"),
    ],
)
def test_families_and_turning_belong_to_the_methods_that_know_them(
    fields: dict[str, Any], field: str
) -> None:
    """Elsewhere, or in another form, they are refused with the reason, never passed over."""
    assert field in refused(fields).message


def test_a_module_has_the_directions_of_its_longest_suffix() -> None:
    """A family's own number goes before the policy's, and a longer name before a shorter."""
    policy = parse_policy(
        {
            **COMPLEMENT,
            "energy_share": 0.5,
            "families": {"proj": {"rank": 1}, "q_proj": {"rank": 2}, "attn.q_proj": {"rank": 3}},
        }
    )
    found = {
        name: policy.directions(name)
        for name in ("l.0.attn.q_proj", "l.0.cross.q_proj", "l.0.mlp.up_proj", "proj")
    }
    assert found == {
        "l.0.attn.q_proj": Directions(rank=3),
        "l.0.cross.q_proj": Directions(rank=2),
        "l.0.mlp.up_proj": Directions(energy_share=0.5),
        "proj": Directions(rank=1),
    }
