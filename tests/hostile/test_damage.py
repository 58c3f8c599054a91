"""Files cut, changed and invented: every one is understood alike or refused, none is a crash."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.policy import Policy
from tests.hostile.making import CONFIG_FILE, MODEL, Folders, Upload, honest, refusal
from tests.worker.making import CONFIG
from worker.adapter.peft_config import known_fields

FEW = settings(max_examples=150, deadline=None, derandomize=True)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 10)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["none", "LORA", "q_proj", "transformers", "pissa", "", "\ud800", "\x1b"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=5,
)
Refused = Callable[[Upload], list[tuple[str, str]]]


@pytest.fixture(scope="session")
def refused(pair: Folders) -> Refused:
    """What an upload is refused for, each in a folder of its own; anything else raised is a bug."""

    def run(upload: Upload) -> list[tuple[str, str]]:
        with TemporaryDirectory() as folder:
            found = refusal(upload, pair, Path(folder))
            written = list((Path(folder) / "output").iterdir())
            assert bool(written) == (not found)
            return [(f.code, f.subject) for f in found]

    return run


def model_bytes() -> bytes:
    data = honest().model
    assert data is not None
    return data


def test_model_cut_at_any_byte_is_refused(refused: Refused) -> None:
    """However much of adapter_model.safetensors is missing, it is never taken for the whole."""
    data = model_bytes()
    for length in range(len(data)):
        code = "truncated_file" if length else "empty_file"
        assert refused(replace(honest(), model=data[:length])) == [(code, MODEL)]
    assert refused(honest()) == []


def test_config_cut_at_any_byte_is_refused(refused: Refused) -> None:
    """However much of adapter_config.json is missing, it is never taken for the whole."""
    data = json.dumps(CONFIG).encode()
    for length in range(len(data)):
        code = "config_invalid" if length else "empty_file"
        assert refused(replace(honest(), config=data[:length])) == [(code, CONFIG_FILE)]


@FEW
@given(position=st.integers(0, len(model_bytes()) - 1), value=st.integers(0, 255))
def test_model_with_any_byte_changed_is_no_crash(
    refused: Refused, position: int, value: int
) -> None:
    """One byte changed anywhere: let in or refused with findings, nothing else is raised."""
    data = bytearray(model_bytes())
    data[position] = value
    refused(replace(honest(), model=bytes(data)))


@FEW
@given(st.binary(max_size=200))
@example(b"PK\x03\x04" + b"\xff" * 40)
@example(b"\x80\x02{" + b"\x00" * 40)
@example(b"\x08" + bytes(7) + b'{"":{}} ')
def test_any_bytes_for_a_model_are_refused(refused: Refused, data: bytes) -> None:
    """Noise is refused with a finding on the file or on a tensor it seems to hold."""
    assert refused(replace(honest(), model=data)) != []


@FEW
@given(st.binary(max_size=100))
def test_any_bytes_for_a_config_are_refused(refused: Refused, data: bytes) -> None:
    """Noise is no config."""
    assert refused(replace(honest(), config=data)) != []


@FEW
@given(st.dictionaries(st.sampled_from(sorted(known_fields())), VALUES, min_size=1, max_size=3))
def test_any_value_of_any_field_is_no_crash(refused: Refused, fields: dict[str, Any]) -> None:
    """Whatever a field holds: let in or refused with findings, nothing else is raised."""
    refused(replace(honest(), config=json.dumps({**CONFIG, **fields}).encode()))


def test_policy_cannot_be_named_by_the_upload(refused: Refused) -> None:
    """No field of a policy is a field of a config."""
    for name in Policy.model_fields:
        fields = {**CONFIG, name: None}
        assert refused(replace(honest(), config=json.dumps(fields).encode())) == [
            ("field_unknown", name)
        ]
