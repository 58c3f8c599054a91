"""Projecting is not always shrinking: C's eigenvalues are σ²/‖V‖_F, and may exceed 1."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.errors import AdapterRejected
from core.policy import Policy
from core.report import Report
from tests.worker.making import generator, run, save_adapter, save_checkpoint

MODULE = "model.layers.0.mlp.up_proj"
SIZE, GROWTH = 24, 5.0


def sanitize(folder: Path, ratio: float, selection: dict[str, object]) -> Report:
    """An update of this ratio, along the one direction in which V is 5: retained is 5 too."""
    random = generator(5)
    weight = torch.randn(SIZE, SIZE, generator=random)
    u, z = (torch.linalg.qr(torch.randn(SIZE, 1, generator=random)).Q for _ in range(2))
    key, aligned = f"{MODULE}.weight", weight + GROWTH * u @ z.T
    base_folder = save_checkpoint(folder / "base", {key: weight})
    aligned_folder = save_checkpoint(folder / "aligned", {key: aligned})
    row: Tensor = torch.linalg.qr(torch.randn(SIZE, 1, generator=random)).Q.T
    tensors = {
        f"base_model.model.{MODULE}.lora_B.weight": u * ratio * aligned.norm(),
        f"base_model.model.{MODULE}.lora_A.weight": row.contiguous(),
    }
    adapter = save_adapter(folder / "adapter", tensors, r=1, lora_alpha=1)
    policy = Policy.model_validate({"selection": selection})
    return run(adapter, base_folder, aligned_folder, folder / "out", policy)


def test_an_update_that_projecting_makes_too_large_is_refused(tmp_path: Path) -> None:
    """The cap is held on what would be served, not only on what came in."""
    with pytest.raises(AdapterRejected) as rejected:
        sanitize(tmp_path, 0.5, {"mode": "all"})
    assert [f.detail for f in rejected.value.findings if f.outcome == "refused"] == [
        "2.5 once projected, cap 1.0"
    ]
    assert list((tmp_path / "out").iterdir()) == []


def test_one_that_is_kept_is_as_large_as_it_came(tmp_path: Path) -> None:
    """Whatever projecting it would make of it: it is not chosen."""
    report = sanitize(tmp_path, 0.5, {"mode": "threshold"})
    assert report.verdict == "unchanged"
    assert report.modules[0].retained == pytest.approx(GROWTH)


def test_growth_below_the_cap_is_let_through(tmp_path: Path) -> None:
    """0.1 becomes 0.5."""
    report = sanitize(tmp_path, 0.1, {"mode": "all"})
    assert report.verdict == "projected"
