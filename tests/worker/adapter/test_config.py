"""adapter_config.json field by field: someone has decided about each that PEFT has."""

import dataclasses
import json
import math

import peft
import pytest

from tests.worker.making import CONFIG
from worker.adapter.config import read_config
from worker.adapter.peft_config import known_fields


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(peft.LoraConfig)])
def test_every_field_of_the_installed_peft_is_decided_about(name: str) -> None:
    """A field that a new PEFT brings fails here until someone says what to do with it."""
    assert name in known_fields()


@pytest.mark.parametrize("name", sorted(known_fields() - {"peft_type", "r", "lora_alpha"}))
def test_null_switches_nothing_on(name: str) -> None:
    """null in any field but the three that make an update reads as the field's absence."""
    expected, _ = read_config(json.dumps(CONFIG).encode())
    config, findings = read_config(json.dumps({**CONFIG, name: None}).encode())
    assert findings == []
    assert config == expected


@pytest.mark.parametrize(
    ("rslora", "scaling"), [(True, 16 / math.sqrt(8)), (False, 2.0), (None, 2.0)]
)
def test_scaling_is_that_of_peft(rslora: bool | None, scaling: float) -> None:
    """alpha / r, and alpha / √r with rank stabilisation."""
    config, _ = read_config(json.dumps({**CONFIG, "use_rslora": rslora}).encode())
    assert config is not None
    assert config.scaling(8, 16.0) == scaling


def test_every_finding_of_a_config_is_named() -> None:
    """Not only the first: whoever mends the config mends it once."""
    fields = {**CONFIG, "use_dora": True, "bias": "all", "x": 1, "r": 0, "alpha_pattern": {".": 0}}
    config, findings = read_config(json.dumps(fields).encode())
    assert config is None
    assert sorted((f.code, f.subject) for f in findings) == [
        ("alpha_invalid", "alpha_pattern.'.'"),
        ("bias_update", "bias"),
        ("dora", "use_dora"),
        ("field_unknown", "x"),
        ("pattern_not_literal", "alpha_pattern"),
        ("rank_invalid", "r"),
    ]
