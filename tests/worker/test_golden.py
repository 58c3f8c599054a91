"""The golden case: a synthetic Llama run through the authors' own code (IBM/SafeLoRA, d81fda1)."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from core.policy import Policy
from core.report import Report
from tests.worker.making import GOLDEN, run

CASES: list[dict[str, Any]] = json.loads((GOLDEN / "expected.json").read_text())["cases"]


def policy_of(case: dict[str, Any], *, reference: bool) -> Policy:
    selection = (
        {"mode": "threshold", "threshold": case["threshold"]}
        if case["mode"] == "threshold"
        else {"mode": "lowest", "count": case["num_proj_layers"]}
    )
    return Policy.model_validate({"selection": selection, "reference": reference})


def expected_file(case: dict[str, Any]) -> Path:
    value = case.get("threshold", case.get("num_proj_layers"))
    return GOLDEN / f"expected_{case['mode']}_{value}.safetensors"


def modules(names: list[str]) -> set[str]:
    return {n.removeprefix("base_model.model.").removesuffix(".lora_B.weight") for n in names}


@pytest.mark.parametrize("case", CASES, ids=lambda c: expected_file(c).stem)
def test_reference_run_equals_the_authors_code(case: dict[str, Any], tmp_path: Path) -> None:
    """With `reference` on: the same modules, cosines to 5 decimals, every tensor within 1e-6."""
    report = run(
        GOLDEN / "adapter",
        GOLDEN / "base",
        GOLDEN / "aligned",
        tmp_path / "out",
        policy_of(case, reference=True),
    )
    assert_equal_to_the_authors(report, tmp_path / "out", case)


def assert_equal_to_the_authors(report: Report, output: Path, case: dict[str, Any]) -> None:
    assert {row.name for row in report.modules if row.projected} == modules(case["projected"])
    ours = {
        f"base_model.model.{row.name}.lora_B.weight": round(row.cosine or 0.0, 5)
        for row in report.modules
    }
    assert ours == case["cos"]
    written = load_file(output / "adapter_model.safetensors")
    expected = load_file(expected_file(case))
    assert written.keys() == expected.keys()
    worst = max(float((written[k].double() - expected[k].double()).abs().max()) for k in expected)
    assert worst <= 1e-6


@pytest.mark.parametrize("case", CASES, ids=lambda c: expected_file(c).stem)
def test_float64_decisions_differ_only_where_borderline(
    case: dict[str, Any], tmp_path: Path
) -> None:
    """With `reference` off, a module decided otherwise than the authors' is marked borderline."""
    report = run(
        GOLDEN / "adapter",
        GOLDEN / "base",
        GOLDEN / "aligned",
        tmp_path / "out",
        policy_of(case, reference=False),
    )
    projected = {row.name for row in report.modules if row.projected}
    borderline = {row.name for row in report.modules if row.borderline}
    assert projected ^ modules(case["projected"]) <= borderline


def test_modules_not_chosen_stay_bit_for_bit(tmp_path: Path) -> None:
    """What is not projected goes out exactly as it came in."""
    report = run(GOLDEN / "adapter", GOLDEN / "base", GOLDEN / "aligned", tmp_path / "out")
    before = load_file(GOLDEN / "adapter" / "adapter_model.safetensors")
    after = load_file(tmp_path / "out" / "adapter_model.safetensors")
    kept = [row for row in report.modules if not row.projected]
    assert kept
    for row in kept:
        for factor in ("A", "B"):
            key = f"base_model.model.{row.name}.lora_{factor}.weight"
            assert torch.equal(before[key], after[key])
