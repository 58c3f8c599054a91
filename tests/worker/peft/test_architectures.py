"""Each architecture, with each way of saying which modules are adapted and how strongly."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.worker.peft.architectures import (
    ARCHITECTURES,
    LLAMA,
    Architecture,
    default_targets,
)
from tests.worker.peft.checks import PEFT_NOISE, projected, sanitize_and_check
from tests.worker.peft.features import FEATURES
from tests.worker.peft.models import make_pair, train

pytestmark = pytest.mark.filterwarnings(PEFT_NOISE)


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
