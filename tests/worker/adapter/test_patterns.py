"""Patterns read as text mean what PEFT's regular expressions mean, or are refused."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from peft.utils.other import get_pattern_key

from core.errors import AdapterRejected
from tests.hostile.making import entry, honest, make_pair, safetensors_file, sanitize_upload
from tests.worker.making import CONFIG
from worker.adapter.patterns import is_literal, is_unambiguous, value_for

PART = st.text("ab_1", min_size=1, max_size=3)
NAME = st.lists(PART, min_size=1, max_size=4).map(".".join)
KEY = st.tuples(st.sampled_from(["", "^"]), NAME).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.lists(KEY, unique=True, max_size=4), st.lists(NAME, unique=True, min_size=1, max_size=4))
@example(["a.b"], ["a_b", "a.b"])
@example(["^a.b"], ["a.b", "x.a.b"])
@example(["b", "a.b"], ["a.b"])
def test_first_match_is_that_of_peft(keys: list[str], modules: list[str]) -> None:
    """For keys that pass the gate, every module gets the value PEFT gives it."""
    if not all(is_unambiguous(key, modules) for key in keys):
        return
    values = {key: float(position) for position, key in enumerate(keys)}
    for module in modules:
        assert value_for(module, values, -1.0) == values.get(get_pattern_key(keys, module), -1.0)


@settings(max_examples=400, deadline=None)
@given(KEY, NAME)
def test_ambiguous_is_what_peft_matches_and_the_text_does_not(key: str, module: str) -> None:
    """A key is refused only where its dots make it fit a module that it does not spell."""
    spelled = module == key.removeprefix("^") or (
        not key.startswith("^") and module.endswith(f".{key}")
    )
    by_peft = get_pattern_key([key, "\0"], module) == key and (spelled or key != module)
    assert is_unambiguous(key, [module]) == (by_peft == spelled)


@pytest.mark.parametrize("key", ["(a+)+$", "a|b", "a$", "a\n", "", ".", "a.", ".a", "^", "ä"])
def test_what_is_no_dotted_name_is_no_literal(key: str) -> None:
    """Nothing that a regular expression engine would treat specially passes."""
    assert not is_literal(key)


def test_flood_of_patterns_and_modules_is_refused_in_time(tmp_path: Path) -> None:
    """100,000 patterns for 10,000 modules: 2 MB that would keep a worker busy for minutes."""
    header = {}
    for index in range(10_000):
        header[f"m{index}.lora_A.weight"] = entry(0, 0, 2, 0)
        header[f"m{index}.lora_B.weight"] = entry(0, 0, 0, 2)
    patterns = {f"{index:x}": 1 for index in range(90_000)}
    upload = replace(
        honest(),
        model=safetensors_file(header),
        config=json.dumps({**CONFIG, "alpha_pattern": patterns}, separators=(",", ":")).encode(),
    )
    started = time.monotonic()
    with pytest.raises(AdapterRejected) as rejected:
        sanitize_upload(upload, make_pair(tmp_path / "pair"), tmp_path)
    assert time.monotonic() - started < 20
    codes = {f.code for f in rejected.value.findings}
    assert codes == {"module_not_in_alignment", "field_invalid"}
