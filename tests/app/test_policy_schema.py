"""The policy's JSON schema in the OpenAPI document: what the gate takes, no more and no less."""

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.main import create_app
from core.findings import RULES
from core.policy import Policy
from core.settings import Settings

NUMBERS = st.sampled_from([None, 0, 1, 2, 64, 0.25, 0.9, 1.5, -1])
"""No 2.0: whole to a JSON schema, and to the gate, which has it written without a point, not."""
MODES = st.sampled_from(["threshold", "relative", "lowest", "all", "none", "odd"])
SUFFIXES = st.sampled_from(["q_proj", "mlp.up_proj", "", ".", "a b", "q-proj"])


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


DIRECTIONS = some(rank=NUMBERS, energy_share=NUMBERS)
POLICIES = some(
    method=st.sampled_from(["safe_lora", "subspace", "complement", "zero", "odd"]),
    strength=NUMBERS,
    rank=NUMBERS,
    energy_share=NUMBERS,
    families=st.dictionaries(SUFFIXES, DIRECTIONS, max_size=1),
    side=st.sampled_from([None, "input", "output", "both", "odd"]),
    selection=some(
        mode=MODES,
        threshold=NUMBERS,
        ratio=NUMBERS,
        count=NUMBERS,
        share=NUMBERS,
        families=st.dictionaries(SUFFIXES, NUMBERS, max_size=1),
    ),
    reference=st.booleans(),
    scores=st.sampled_from(["all", "spectrum"]),
    extras=some(
        default=st.sampled_from(["refuse", "strip", "odd"]),
        codes=st.dictionaries(
            st.sampled_from([*RULES, "odd"]), st.sampled_from(["refuse", "strip"]), max_size=2
        ),
    ),
    suspicious=st.sampled_from(["report", "project", "refuse", "odd"]),
)


@pytest.fixture(scope="module")
def validator() -> jsonschema_rs.Validator:
    document = create_app(Settings()).openapi()
    schema = {"$ref": "#/components/schemas/Policy", "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


@settings(max_examples=3000, deadline=None)
@given(policy=POLICIES)
def test_schema_and_gate_agree(validator: jsonschema_rs.Validator, policy: dict[str, Any]) -> None:
    """Whatever is asked, of fields that fit together or not: both take it, or neither."""
    try:
        Policy.model_validate(policy)
        taken = True
    except ValidationError:
        taken = False
    assert validator.is_valid(policy) == taken
