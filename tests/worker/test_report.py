"""The report of the hard cases: numbers or null, never NaN."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.canonical import parse_json_strictly
from core.policy import Policy
from core.render.html import render_html
from core.report import Report
from tests.worker.making import generator, run, save_adapter, save_checkpoint

OUT, IN = 24, 16
PLAIN, ZERO_B, UNSEEN, CANCELLING, ROWS = "plain", "zero_b", "unseen", "cancelling", "rows"
CASES = (PLAIN, ZERO_B, UNSEEN, CANCELLING, ROWS)

POLICIES: list[dict[str, Any]] = [
    {},
    {"selection": {"mode": "all"}},
    {"selection": {"mode": "all"}, "method": "zero"},
    {"selection": {"mode": "relative", "ratio": 1.0}},
    {"selection": {"mode": "lowest", "share": 0.4}},
    {"selection": {"mode": "all"}, "strength": 0.0},
    {"selection": {"mode": "all"}, "method": "complement", "side": "both", "rank": 2},
    {"selection": {"mode": "all"}, "method": "subspace", "energy_share": 1.0},
    {"selection": {"mode": "none"}, "reference": True},
]


def case(name: str, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """V (out, in), B (out, 2) and A (2, in) of one hard case."""
    v = torch.randn(OUT, IN, generator=random) * 0.01
    b = torch.randn(OUT, 2, generator=random) * 0.05
    a = torch.randn(2, IN, generator=random) * 0.05
    if name == ZERO_B:
        b.zero_()
    elif name == UNSEEN:
        v[: OUT // 2], b[OUT // 2 :] = 0.0, 0.0
    elif name == CANCELLING:
        b[:, 1], a[1] = b[:, 0], -a[0]
    elif name == ROWS:
        v[::2] = 0.0
    return v, b, a


def module(index: int) -> str:
    return f"model.layers.{index}.self_attn.q_proj"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`base`, `aligned` and `adapter`: one module for each case."""
    folder = tmp_path_factory.mktemp("hard")
    random = generator(5)
    base, aligned, adapter = {}, {}, {}
    for index, name in enumerate(CASES):
        v, b, a = case(name, random)
        weight = torch.randn(OUT, IN, generator=random)
        base[f"{module(index)}.weight"] = weight
        aligned[f"{module(index)}.weight"] = torch.where(v == 0, weight, weight + v)
        adapter[f"base_model.model.{module(index)}.lora_A.weight"] = a
        adapter[f"base_model.model.{module(index)}.lora_B.weight"] = b
    save_checkpoint(folder / "base", base)
    save_checkpoint(folder / "aligned", aligned)
    save_adapter(folder / "adapter", adapter)
    return folder


@pytest.fixture(params=POLICIES, ids=lambda p: "-".join(map(str, p)) or "default")
def report(folders: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Report:
    policy = Policy.model_validate(request.param)
    parts = (folders / "adapter", folders / "base", folders / "aligned")
    return run(*parts, tmp_path / "out", policy)


def test_no_nan_in_any_json(report: Report) -> None:
    """report.json is strict JSON under every policy, and the page shows no nan or inf either."""
    parsed = parse_json_strictly(report.as_bytes())
    assert len(parsed["modules"]) == len(CASES)
    assert Report.model_validate_json(report.as_bytes()) == report
    page = render_html(report).decode().lower()
    assert ">nan<" not in page
    assert ">inf<" not in page


def test_hard_cases_are_told_apart(report: Report) -> None:
    """A zero update has no cosine and is never chosen; one that V does not see scores 0."""
    rows = {name: report.modules[index] for index, name in enumerate(CASES)}
    for name in (ZERO_B, CANCELLING):
        assert (rows[name].cosine, rows[name].projected) == (None, False)
        assert rows[name].reason == "zero_update"
    assert rows[UNSEEN].cosine == 0.0
    assert rows[UNSEEN].projected is (report.verdict != "scored")
    assert 0.0 < (rows[PLAIN].cosine or 0.0) <= 1.0
    assert report.summary.zero_updates == 2
