"""Each architecture, with each way of saying which modules are adapted and how strongly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.worker.peft.checks import PEFT_NOISE, projected, sanitize_and_check
from tests.worker.peft.models import (
    ARCHITECTURES,
    LLAMA,
    Architecture,
    block_regex,
    default_targets,
    make_pair,
    train,
)

pytestmark = pytest.mark.filterwarnings(PEFT_NOISE)
Feature = Callable[[Architecture], dict[str, Any]]


def patterns(architecture: Architecture) -> dict[str, Any]:
    """By family, by a longer suffix, and by a whole name from its start."""
    first, second, *_, last = architecture.families
    return {
        "rank_pattern": {
            first.rpartition(".")[2]: 2,
            f"^{architecture.path(0, last)}": 6,
        },
        "alpha_pattern": {
            f"^{architecture.path(1, first)}": 3,
            f"0.{second}": 5.5,
            last: 7,
        },
    }


FEATURES: dict[str, Feature] = {
    "plain": lambda _: {},
    "rslora": lambda _: {"use_rslora": True},
    "patterns": patterns,
    "patterns-rslora": lambda a: {**patterns(a), "use_rslora": True},
    "one-layer": lambda _: {"layers_to_transform": [1]},
    "regex": lambda a: {"target_modules": block_regex(a)},
    "excluded": lambda a: {"exclude_modules": [a.families[0]]},
    "all-linear": lambda _: {"target_modules": "all-linear"},
    "rank-64": lambda _: {"r": 64, "lora_alpha": 64},
    "no-task-type": lambda _: {"task_type": None},
    "gaussian": lambda _: {"init_lora_weights": "gaussian"},
    "orthogonal": lambda _: {"init_lora_weights": "orthogonal"},
}


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_served_logits_equal_the_hand_merge(
    architecture: Architecture, feature: str, tmp_path: Path
) -> None:
    """Stock PEFT serves the output as W + s·B'·A, B' by the paper's formula where projected."""
    pair = make_pair(tmp_path, architecture)
    config = {**default_targets(architecture), **FEATURES[feature](architecture)}
    adapter = train(tmp_path / "adapter", pair.aligned_model, **config)
    sanitize_and_check(adapter, pair, tmp_path / "out")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_16_bit_adapters_serve_the_decided_update(
    architecture: Architecture, dtype: torch.dtype, tmp_path: Path
) -> None:
    """The same for adapters in 16 bits, projected updates being off by their rounding at most."""
    pair = make_pair(tmp_path, architecture)
    config = default_targets(architecture)
    adapter = train(tmp_path / "adapter", pair.aligned_model, dtype=dtype, **config)
    precision = torch.finfo(dtype).eps
    report = sanitize_and_check(adapter, pair, tmp_path / "out", precision=precision)
    assert report.output is not None
    assert not report.output.widened


def test_update_too_small_for_float16_is_widened_and_served(tmp_path: Path) -> None:
    """Where float16 would lose the projected B, float32 goes out beside float16, and loads."""
    pair = make_pair(tmp_path, LLAMA)
    small: dict[str, Any] = {"dtype": torch.float16, "size": 2e-6, "lora_alpha": 2e5 / 4}
    adapter = train(tmp_path / "adapter", pair.aligned_model, **small, **default_targets(LLAMA))
    report = sanitize_and_check(adapter, pair, tmp_path / "out")
    assert report.output is not None
    assert set(report.output.widened) == projected(report)
