"""The spellings of an adapter's files that exist in the wild, all read as one."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.worker.making import run
from tests.worker.peft.architectures import (
    ARCHITECTURES,
    GPT2,
    LLAMA,
    Architecture,
    default_targets,
)
from tests.worker.peft.checks import HALF, PEFT_NOISE, output_bytes, sanitize_and_check
from tests.worker.peft.models import ModelPair, make_pair, train

pytestmark = pytest.mark.filterwarnings(PEFT_NOISE)
Rename = Callable[[str], str]


def with_adapter_name(key: str) -> str:
    return re.sub(r"\.(lora_[AB])\.weight$", r".\1.default.weight", key)


def without_prefix(key: str) -> str:
    return key.removeprefix("base_model.model.")


def both(key: str) -> str:
    return with_adapter_name(without_prefix(key))


def mixed(key: str) -> str:
    """A and B of one module spelled differently."""
    return with_adapter_name(key) if ".lora_A." in key else without_prefix(key)


def prepare(tmp_path: Path, architecture: Architecture, **config: Any) -> tuple[ModelPair, Path]:
    pair = make_pair(tmp_path, architecture)
    config = {**default_targets(architecture), **config}
    return pair, train(tmp_path / "adapter", pair.aligned_model, **config)


def edit_config(adapter: Path, **fields: Any) -> None:
    """Fields in the order given, which matters within a pattern."""
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


@pytest.mark.parametrize("rename", [with_adapter_name, without_prefix, both, mixed])
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_known_spellings_give_the_canonical_output(
    architecture: Architecture, rename: Rename, tmp_path: Path
) -> None:
    """Keys with an adapter's name or without PEFT's prefix: the same two files, byte for byte."""
    pair, adapter = prepare(tmp_path, architecture)
    run(adapter, pair.base, pair.aligned, tmp_path / "a", HALF)
    file = adapter / "adapter_model.safetensors"
    save_file({rename(key): tensor for key, tensor in load_file(file).items()}, file)
    run(adapter, pair.base, pair.aligned, tmp_path / "b", HALF)
    assert output_bytes(tmp_path / "a") == output_bytes(tmp_path / "b")


@pytest.mark.filterwarnings("ignore:The following alpha_pattern keys did not match:RuntimeWarning")
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("rslora", [False, True])
def test_overlapping_patterns_scale_as_peft_scales(
    reverse: bool, rslora: bool, tmp_path: Path
) -> None:
    """The first pattern in the file that fits wins; one that only seems to fit has no effect."""
    pair, adapter = prepare(tmp_path, LLAMA, use_rslora=rslora)
    patterns = {"q_proj": 3, "layers.1.self_attn.q_proj": 12, "^model.layers.0.mlp.up_proj": 5}
    patterns |= {"up_proj": 6, "proj": 100, "^layers.1.self_attn.v_proj": 100}
    order = sorted(patterns, reverse=reverse)
    edit_config(adapter, alpha_pattern={key: patterns[key] for key in order})
    sanitize_and_check(adapter, pair, tmp_path / "out")


@pytest.mark.parametrize("claim", [True, False, None])
@pytest.mark.parametrize("architecture", [LLAMA, GPT2], ids=lambda a: a.name)
def test_orientation_is_the_checkpoints_word(
    architecture: Architecture, claim: bool | None, tmp_path: Path
) -> None:
    """Whatever fan_in_fan_out the upload claims, the output is the same and says what is so."""
    pair, adapter = prepare(tmp_path, architecture)
    sanitize_and_check(adapter, pair, tmp_path / "a")
    edit_config(adapter, fan_in_fan_out=claim)
    run(adapter, pair.base, pair.aligned, tmp_path / "b", HALF)
    assert output_bytes(tmp_path / "a") == output_bytes(tmp_path / "b")
    written = json.loads((tmp_path / "b" / "adapter_config.json").read_text())
    assert written["fan_in_fan_out"] is architecture.conv1d
